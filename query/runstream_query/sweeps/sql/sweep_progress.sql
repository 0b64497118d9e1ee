-- The progress of runs in a metric, for early stopping: the number of logged finite values (mean over the ranks of a
-- step), their extremes, and the value at the given numbers of logs, NULL where it is not reached.
-- Parameters: project; runs; metric; brackets.
SELECT
    run,
    length(logged) AS logs,
    arrayMin(logged) AS low,
    arrayMax(logged) AS high,
    arrayMap(bracket -> if(bracket <= length(logged), logged[bracket], NULL), {brackets:Array(UInt64)}) AS at
FROM
(
    SELECT run, groupArray(value) AS logged
    FROM
    (
        SELECT run, step, avg(points.value) AS value
        FROM points FINAL
        WHERE project = {project:String} AND run IN {runs:Array(String)} AND metric = {metric:String}
          AND isFinite(points.value)
        GROUP BY run, step
        ORDER BY run, step
    )
    GROUP BY run
)
