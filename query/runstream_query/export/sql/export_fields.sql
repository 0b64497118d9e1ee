-- The documents of runs, one row for each key, without the values that users' changes replaced.
-- Parameters: project; runs (empty: all).
SELECT run, section, key, value, time, toUInt32(bitShiftRight(version, 40)) AS epoch
FROM run_fields FINAL
WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
  AND deleted = 0 AND section != 'replaced'
ORDER BY run, section, key
