-- A page of metrics by name, with their last values: mean over the ranks, then over the runs. The names are found first,
-- in key order, so that a page of a million names reads the values of that page only.
-- Parameters: project; runs; search ('': all); pattern (RE2, '': all); after: the last name of the page
-- before; limit.
SELECT
    metric AS key,
    count() AS runs,
    max(ranks) AS ranks,
    max(last_step) AS last_step,
    avg(value) AS last_value,
    toUnixTimestamp64Micro(max(last_time)) AS last_us
FROM
(
    SELECT run, metric, count() AS ranks, max(last_step) AS last_step, avg(newest) AS value, max(newest_time) AS last_time
    FROM
    (
        WITH bitOr(bitShiftLeft(toInt128(tupleElement(last, 1)), 64), toInt128(tupleElement(last, 2))) AS age
        SELECT
            run,
            metric,
            argMax(tupleElement(last, 3), age) AS newest,
            argMax(tupleElement(last, 4), age) AS newest_time,
            max(tupleElement(last, 1)) AS last_step
        FROM series
        WHERE project = {project:String} AND run IN {runs:Array(String)}
          AND metric IN
          (
              SELECT DISTINCT metric
              FROM series
              WHERE project = {project:String} AND run IN {runs:Array(String)}
                AND ({search:String} = '' OR positionCaseInsensitiveUTF8(metric, {search:String}) > 0)
                AND match(metric, {pattern:String})
                AND ({after:String} = '' OR metric > {after:String})
              ORDER BY metric
              LIMIT {limit:UInt32}
          )
        GROUP BY run, metric, rank
    )
    GROUP BY run, metric
)
GROUP BY metric
ORDER BY metric
