-- From where to where each series reaches, over its ranks. `low_step` is the smallest Int64 there is where it is not known.
-- Parameters: project; runs; metrics; ranks (empty: all).
SELECT
    run,
    metric,
    count() AS ranks,
    min(lowest) AS low_step,
    max(tupleElement(newest, 1)) AS high_step
FROM
(
    SELECT run, metric, rank, max(last) AS newest, min(low) AS lowest
    FROM series
    WHERE project = {project:String} AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
      AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
    GROUP BY run, metric, rank
)
GROUP BY run, metric
ORDER BY run, metric
