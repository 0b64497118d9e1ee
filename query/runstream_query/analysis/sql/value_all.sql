-- The minimum, maximum or mean of a metric over all ranks and steps of each run, without NaN; NaN if a run has nothing
-- else. A selection of runs replaces the comment in WHERE.
-- Parameters: project; metric; aggregate (min | max | mean).
SELECT
    run,
    multiIf(
        countIf(NOT isNaN(value)) = 0, nan,
        {aggregate:String} = 'min', minIf(value, NOT isNaN(value)),
        {aggregate:String} = 'max', maxIf(value, NOT isNaN(value)),
        avgIf(value, NOT isNaN(value))) AS value,
    CAST(NULL, 'Nullable(Int64)') AS at_step
FROM points FINAL
WHERE project = {project:String} AND metric = {metric:String} /* among */
GROUP BY run
