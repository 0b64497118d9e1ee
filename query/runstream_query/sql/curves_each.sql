-- Curves in buckets of `width` steps from `origin`, one a rank. Infinities and NaN are counted, and kept out of min, max
-- and mean. Parameters: project; run; metrics; ranks (empty: all); min_step, max_step; origin; width.
SELECT
    metric,
    rank,
    intDiv(step - {origin:Int64}, {width:Int64}) AS bucket,
    min(step) AS first_step,
    max(step) AS last_step,
    argMin(value, step) AS first,
    argMax(value, step) AS last,
    if(countIf(isFinite(value)) = 0, nan, minIf(value, isFinite(value))) AS minimum,
    if(countIf(isFinite(value)) = 0, nan, maxIf(value, isFinite(value))) AS maximum,
    avgIf(value, isFinite(value)) AS mean,
    count() AS points,
    countIf(NOT isFinite(value)) AS not_finite,
    toUnixTimestamp64Micro(argMin(time, step)) AS first_us
FROM points FINAL
WHERE project = {project:String} AND run = {run:String} AND metric IN {metrics:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
GROUP BY metric, rank, bucket
ORDER BY metric, rank, bucket
