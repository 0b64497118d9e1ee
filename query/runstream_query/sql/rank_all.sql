-- Runs by the minimum, maximum or mean of a metric over all ranks and steps, NaN points left out; runs of nothing but
-- NaN last, ties by run id. Parameters: project; metric; aggregate (min | max | mean); sweep; ascending; limit.
SELECT
    run,
    multiIf(
        countIf(NOT isNaN(value)) = 0, nan,
        {aggregate:String} = 'min', minIf(value, NOT isNaN(value)),
        {aggregate:String} = 'max', maxIf(value, NOT isNaN(value)),
        avgIf(value, NOT isNaN(value))) AS best
FROM points FINAL
WHERE project = {project:String} AND metric = {metric:String}
  AND ({sweep:String} = '' OR run IN (
      SELECT run FROM run_fields FINAL
      WHERE project = {project:String} AND section = 'run' AND key = 'sweep_id' AND value = {sweep:String}))
GROUP BY run
ORDER BY isNaN(best), if({ascending:UInt8} = 1, best, -best), run
LIMIT {limit:UInt32}
