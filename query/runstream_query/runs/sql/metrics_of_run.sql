-- Rows of one run's series in the order of their names, the ranks of a metric together; a series whose parts were not
-- merged yet has several. In key order, so that no more is read than the first `limit` rows that fit.
-- Parameters: project; run; search ('': all); pattern (RE2, '': all); after: the last name of the page before; limit.
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
