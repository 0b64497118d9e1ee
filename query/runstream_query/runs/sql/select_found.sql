-- Runs with a text in their id, name, tags, group, notes, or in a value of their config, in any case.
-- Parameters: project; search.
SELECT run
FROM run_fields FINAL
WHERE project = {project:String} AND deleted = 0
  AND (section = 'config' OR (section = 'run' AND key IN ('name', 'tags', 'group', 'notes')))
  AND (positionCaseInsensitiveUTF8(if(startsWith(value, '"'), JSONExtractString(value), value), {search:String}) > 0)
