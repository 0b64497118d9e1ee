-- The tags of some runs as JSON, each with the epoch of its writer: the newest version, as FINAL would return it.
-- Parameters: project; runs.
SELECT run, argMax(value, version) AS value, toUInt32(bitShiftRight(max(version), 40)) AS epoch
FROM run_fields
WHERE project = {project:String} AND run IN {runs:Array(String)} AND section = 'run' AND key = 'tags'
GROUP BY run
