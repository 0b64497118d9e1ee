-- The parts of one large value of a run's document, in order. Parameters: project; run; prefix: section, key and digest.
SELECT value
FROM run_fields FINAL
PREWHERE project = {project:String} AND run = {run:String} AND section = 'piece' AND startsWith(key, {prefix:String})
ORDER BY key
LIMIT 10000
