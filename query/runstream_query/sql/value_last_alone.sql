-- A metric's last value of each run, where no run has it of more than one rank: one GROUP BY instead of two, which for a
-- hundred thousand runs is half of the time. The comment in WHERE is where a selection of runs goes.
-- Parameters: project; metric.
SELECT
    run,
    argMax(tupleElement(last, 3), bitOr(bitShiftLeft(toInt128(tupleElement(last, 1)), 64),
                                        toInt128(tupleElement(last, 2)))) AS value,
    CAST(NULL, 'Nullable(Int64)') AS at_step
FROM series
WHERE project = {project:String} AND metric = {metric:String} /* among */
GROUP BY run
