-- Rows of one run's series in the order of their names, the ranks of a metric together; a series whose parts are not
-- merged yet has several. In the order of the key, so that only the first `limit` matching rows are read.
-- Parameters: project; run; search ('': all); pattern (RE2, '': all); after: the last name of the previous page; limit.
SELECT
    metric,
    rank,
    tupleElement(last, 1) AS step,
    tupleElement(last, 2) AS version,
    tupleElement(last, 3) AS value,
    toUnixTimestamp64Micro(tupleElement(last, 4)) AS time_us
FROM series
WHERE project = {project:String} AND run = {run:String}
  AND ({search:String} = '' OR positionCaseInsensitiveUTF8(metric, {search:String}) > 0)
  AND match(metric, {pattern:String})
  AND ({after:String} = '' OR metric > {after:String})
ORDER BY metric
LIMIT {limit:UInt32}
