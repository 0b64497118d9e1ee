-- Names and patterns that runs of a project gave to define_metric. Parameters: project.
SELECT DISTINCT key
FROM run_fields
WHERE project = {project:String} AND section = 'definition'
ORDER BY key
LIMIT 10000
