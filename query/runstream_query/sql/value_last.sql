-- A metric's last value of each run, mean over the ranks. The comment in WHERE is where a selection of runs goes.
-- Parameters: project; metric.
SELECT run, avg(newest) AS value, CAST(NULL, 'Nullable(Int64)') AS at_step
FROM
(
    SELECT
        run,
        argMax(tupleElement(last, 3), bitOr(bitShiftLeft(toInt128(tupleElement(last, 1)), 64),
                                            toInt128(tupleElement(last, 2)))) AS newest
    FROM series
    WHERE project = {project:String} AND metric = {metric:String} /* among */
    GROUP BY run, rank
)
GROUP BY run
