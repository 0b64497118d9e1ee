-- Display names of runs that have one. Parameters: project; runs.
SELECT run, JSONExtractString(argMax(value, version)) AS name
FROM run_fields
WHERE project = {project:String} AND section = 'run' AND key = 'name' AND run IN {runs:Array(String)}
GROUP BY run
HAVING name != ''
