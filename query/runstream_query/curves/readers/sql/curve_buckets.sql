-- Curves of one run in buckets of `width` steps, one a rank: what can be put together from pieces. Infinities and NaN are
-- counted, and kept out of minimum, maximum and total. `grid` makes every step positive.
-- Parameters: project; run; metrics; ranks (empty: all); min_step, max_step; min_us, max_us; width; grid.
SELECT
    metric,
    rank,
    intDiv(step + {grid:Int64}, {width:Int64}) AS bucket,
    min(step) AS first_step,
    max(step) AS last_step,
    argMin(value, step) AS first,
    argMax(value, step) AS last,
    if(countIf(isFinite(value)) = 0, nan, minIf(value, isFinite(value))) AS minimum,
    if(countIf(isFinite(value)) = 0, nan, maxIf(value, isFinite(value))) AS maximum,
    sumIf(value, isFinite(value)) AS total,
    countIf(isFinite(value)) AS finite,
    count() AS points,
    count() - countIf(isFinite(value)) AS not_finite,
    count() AS steps,
    toUnixTimestamp64Micro(min(time)) AS earliest_us
FROM points FINAL
PREWHERE project = {project:String} AND run = {run:String} AND metric IN {metrics:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
WHERE time BETWEEN fromUnixTimestamp64Micro({min_us:Int64}) AND fromUnixTimestamp64Micro({max_us:Int64})
GROUP BY metric, rank, bucket
ORDER BY metric, rank, bucket
