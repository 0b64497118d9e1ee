-- Reasons why a summary key can differ from the last value of a metric: the names and patterns that runs of a project
-- gave to define_metric, and which of the given keys a run set itself. Parameters: project; keys.
SELECT DISTINCT section, key
FROM run_fields
WHERE project = {project:String}
  AND (section = 'definition' OR (section = 'summary' AND key IN {keys:Array(String)}))
ORDER BY section, key
