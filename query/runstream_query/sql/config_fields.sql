-- The keys of one section of runs' documents: how many runs have them, of what kinds their values are.
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
    SELECT run, key, argMax(value, version) AS newest, toFloat64OrNull(newest) AS number
    FROM run_fields
    WHERE project = {project:String} AND section = {section:String}
      AND ({search:String} = '' OR positionCaseInsensitiveUTF8(key, {search:String}) > 0)
      AND match(key, {pattern:String})
      AND ({after:String} = '' OR key > {after:String})
    GROUP BY run, key
    HAVING newest != ''
)
GROUP BY key
ORDER BY key
LIMIT {limit:UInt32}
