-- Runs by the mean over ranks of a metric's last value; NaN last, ties by run id.
-- Parameters: project; metric; sweep (JSON text, '' = all runs); ascending; limit.
SELECT run, avg(tupleElement(newest, 3)) AS value
FROM
(
    SELECT run, rank, max(last) AS newest
    FROM series
    WHERE project = {project:String} AND metric = {metric:String}
      AND ({sweep:String} = '' OR run IN (
          SELECT run FROM run_fields FINAL
          WHERE project = {project:String} AND section = 'run' AND key = 'sweep_id' AND value = {sweep:String}))
    GROUP BY run, rank
)
GROUP BY run
ORDER BY isNaN(value), if({ascending:UInt8} = 1, value, -value), run
LIMIT {limit:UInt32}
