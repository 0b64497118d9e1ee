-- Curves in buckets, mean over ranks: the ranks' finite values are averaged at each step, then first, last and mean are
-- taken over steps. Minimum and maximum are over all ranks' points, so that one rank's spike is seen.
-- Parameters: project; run; metrics; min_step, max_step; origin; width.
SELECT
    metric,
    0 AS rank,
    intDiv(step - {origin:Int64}, {width:Int64}) AS bucket,
    min(step) AS first_step,
    max(step) AS last_step,
    argMin(across, step) AS first,
    argMax(across, step) AS last,
    if(countIf(isFinite(low)) = 0, nan, minIf(low, isFinite(low))) AS minimum,
    if(countIf(isFinite(high)) = 0, nan, maxIf(high, isFinite(high))) AS maximum,
    avgIf(across, isFinite(across)) AS mean,
    sum(ranks) AS points,
    sum(odd) AS not_finite,
    toUnixTimestamp64Micro(argMin(earliest, step)) AS first_us
FROM
(
    SELECT
        metric,
        step,
        if(count() = 1, any(value), avgIf(value, isFinite(value))) AS across,
        if(countIf(isFinite(value)) = 0, nan, minIf(value, isFinite(value))) AS low,
        if(countIf(isFinite(value)) = 0, nan, maxIf(value, isFinite(value))) AS high,
        count() AS ranks,
        countIf(NOT isFinite(value)) AS odd,
        min(time) AS earliest
    FROM points FINAL
    WHERE project = {project:String} AND run = {run:String} AND metric IN {metrics:Array(String)}
      AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
    GROUP BY metric, step
)
GROUP BY metric, bucket
ORDER BY metric, bucket
