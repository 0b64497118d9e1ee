-- Some config keys of some runs as JSON text. Parameters: project; runs; keys.
SELECT run, key, argMax(value, version) AS text
FROM run_fields
WHERE project = {project:String} AND section = 'config' AND key IN {keys:Array(String)} AND run IN {runs:Array(String)}
GROUP BY run, key
HAVING text NOT IN ('', 'null')
