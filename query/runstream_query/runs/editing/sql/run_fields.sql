-- The documents of some runs, one row for each key. Parameters: project; runs; sections (empty: all).
SELECT run, section, key, value
FROM run_fields FINAL
PREWHERE project = {project:String} AND run IN {runs:Array(String)}
  AND (empty({sections:Array(String)}) OR section IN {sections:Array(String)})
WHERE deleted = 0
ORDER BY run, section, key
LIMIT 1000000
