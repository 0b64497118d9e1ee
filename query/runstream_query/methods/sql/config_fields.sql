-- The keys of one section of runs' documents: how many runs have them, of what kinds their values are.
-- FINAL takes the newest version of each by merging parts that are sorted already, a third of what a group a run and key
-- costs (two million of them: 4 s against 11).
-- Parameters: project; section; search ('': all); pattern (RE2, '': all); after: the last key of the page before; limit.
SELECT
    key,
    count() AS runs,
    countIf(number IS NOT NULL) AS numbers,
    countIf(startsWith(newest, '"')) AS strings,
    countIf(newest IN ('true', 'false')) AS booleans,
    countIf(startsWith(newest, '[') OR startsWith(newest, '{')) AS lists,
    countIf(newest = 'null') AS nulls,
    minIf(number, ifNull(isFinite(number), 0)) AS low,
    maxIf(number, ifNull(isFinite(number), 0)) AS high
FROM
(
    SELECT key, value AS newest, toFloat64OrNull(newest) AS number
    FROM run_fields FINAL
    WHERE project = {project:String} AND section = {section:String}
      AND ({search:String} = '' OR positionCaseInsensitiveUTF8(key, {search:String}) > 0)
      AND match(key, {pattern:String})
      AND ({after:String} = '' OR key > {after:String})
      AND value != ''
)
GROUP BY key
ORDER BY key
LIMIT {limit:UInt32}
