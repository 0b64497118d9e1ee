-- The config keys that most runs have. Parameters: project; limit.
SELECT key, count() AS runs
FROM run_fields FINAL
WHERE project = {project:String} AND section = 'config' AND value != ''
GROUP BY key
ORDER BY runs DESC, key
LIMIT {limit:UInt32}
