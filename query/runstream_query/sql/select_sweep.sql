-- The runs of a sweep. Parameters: project; sweep: its id as JSON text.
SELECT run
FROM run_fields
WHERE project = {project:String} AND section = 'run' AND key = 'sweep_id'
GROUP BY run
HAVING argMax(value, version) = {sweep:String}
