-- The keys of a run's document whose value people set, each with what the run's processes had said before: a row of
-- section `replaced` has the epoch of the change that wrote it, and holds while nobody has written the key since.
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
