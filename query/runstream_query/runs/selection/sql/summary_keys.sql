-- What may make a summary key something else than a metric's last value: names and patterns that runs of a project gave
-- to define_metric, and which of some keys they set themselves. Parameters: project; keys.
SELECT DISTINCT section, key
FROM run_fields
WHERE project = {project:String}
  AND (section = 'definition' OR (section = 'summary' AND key IN {keys:Array(String)}))
ORDER BY section, key
