-- A metric as a map of ranks by buckets of `width` steps. `grid` makes every step positive. Parameters: project; run; metric;
-- ranks; min_step, max_step; width; grid.
SELECT
    rank,
    intDiv(step + {grid:Int64}, {width:Int64}) AS bucket,
    min(step) AS first_step,
    avgIf(value, isFinite(value)) AS mean,
    count() - countIf(isFinite(value)) AS not_finite
FROM points FINAL
PREWHERE project = {project:String} AND run = {run:String} AND metric = {metric:String} AND rank IN {ranks:Array(UInt32)}
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
GROUP BY rank, bucket
