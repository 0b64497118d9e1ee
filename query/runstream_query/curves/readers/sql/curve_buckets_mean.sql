-- Curves of one run in buckets of `width` steps, mean over ranks: the ranks' finite values are averaged at each step, then
-- first, last and mean (total over finite) are taken over steps. Minimum and maximum are over all ranks' points, so that
-- one rank's spike is seen. `grid` makes every step positive.
-- Parameters: project; run; metrics; ranks (empty: all); min_step, max_step; min_us, max_us; width; grid.
SELECT
    metric,
    toUInt32(0) AS rank,
    intDiv(step + {grid:Int64}, {width:Int64}) AS bucket,
    min(step) AS first_step,
    max(step) AS last_step,
    argMin(across, step) AS first,
    argMax(across, step) AS last,
    if(countIf(isFinite(low)) = 0, nan, minIf(low, isFinite(low))) AS minimum,
    if(countIf(isFinite(high)) = 0, nan, maxIf(high, isFinite(high))) AS maximum,
    sumIf(across, isFinite(across)) AS total,
    countIf(isFinite(across)) AS finite,
    sum(ranks) AS points,
    sum(odd) AS not_finite,
    count() AS steps,
    toUnixTimestamp64Micro(min(earliest)) AS earliest_us
FROM
(
    SELECT
        metric,
        step,
        if(count() = 1, any(value), avgIf(value, isFinite(value))) AS across,
        if(countIf(isFinite(value)) = 0, nan, minIf(value, isFinite(value))) AS low,
        if(countIf(isFinite(value)) = 0, nan, maxIf(value, isFinite(value))) AS high,
        count() AS ranks,
        count() - countIf(isFinite(value)) AS odd,
        min(time) AS earliest
    FROM points FINAL
    PREWHERE project = {project:String} AND run = {run:String} AND metric IN {metrics:Array(String)}
      AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
      AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
    WHERE time BETWEEN fromUnixTimestamp64Micro({min_us:Int64}) AND fromUnixTimestamp64Micro({max_us:Int64})
    GROUP BY metric, step
)
GROUP BY metric, bucket
ORDER BY metric, bucket
