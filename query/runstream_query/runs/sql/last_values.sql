-- The last value of each metric, mean over the ranks.
-- Parameters: project; runs; search ('' = all); after: the last name of the previous page; limit, for each run.
SELECT
    run,
    metric,
    count() AS ranks,
    max(tupleElement(newest, 1)) AS last_step,
    avg(tupleElement(newest, 3)) AS last_value,
    toUnixTimestamp64Micro(max(tupleElement(newest, 4))) AS last_us
FROM
(
    SELECT run, metric, rank, max(last) AS newest
    FROM series
    WHERE project = {project:String} AND run IN {runs:Array(String)}
      AND ({search:String} = '' OR positionCaseInsensitiveUTF8(metric, {search:String}) > 0)
      AND ({after:String} = '' OR metric > {after:String})
    GROUP BY run, metric, rank
)
GROUP BY run, metric
ORDER BY run, metric
LIMIT {limit:UInt32} BY run
