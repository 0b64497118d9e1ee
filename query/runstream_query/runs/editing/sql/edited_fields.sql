-- The keys of a run's document whose values users set, each with the value that the run's processes had reported
-- before. A row of section `replaced` has the epoch of the change that wrote it, and counts while the key has no newer
-- value.
-- Parameters: project; run.
SELECT key, value
FROM
(
    SELECT key, argMax(value, version) AS value, bitShiftRight(max(version), 40) AS epoch
    FROM run_fields
    WHERE project = {project:String} AND run = {run:String} AND section = 'replaced'
    GROUP BY key
) AS replaced
INNER JOIN
(
    SELECT concat(toString(section), '.', key) AS key, bitShiftRight(max(version), 40) AS epoch
    FROM run_fields
    WHERE project = {project:String} AND run = {run:String} AND section IN ('run', 'config')
    GROUP BY section, run_fields.key
) AS now USING (key, epoch)
ORDER BY key
LIMIT 100000
