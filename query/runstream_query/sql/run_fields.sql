-- The documents of some runs, one row a key. Parameters: project; runs; sections (empty: all).
SELECT run, section, key, value
FROM run_fields FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)} AND deleted = 0
  AND (empty({sections:Array(String)}) OR section IN {sections:Array(String)})
ORDER BY run, section, key
LIMIT 1000000
