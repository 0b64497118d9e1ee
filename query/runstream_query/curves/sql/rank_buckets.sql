-- Across the ranks of a run, in buckets of `width` steps: each rank counts once, with the mean of its finite points; minimum
-- and maximum are of single points. `grid` makes every step positive. Parameters: project; run; metric; ranks (empty: all);
-- min_step, max_step; width; grid; percentiles: 1, or 0 for none.
SELECT
    bucket,
    min(low_step) AS first_step,
    max(high_step) AS last_step,
    avgIf(own, isFinite(own)) AS mean,
    stddevPopIf(own, isFinite(own)) AS std,
    if(countIf(isFinite(low)) = 0, nan, minIf(low, isFinite(low))) AS minimum,
    if(countIf(isFinite(high)) = 0, nan, maxIf(high, isFinite(high))) AS maximum,
    argMinIf(rank, low, isFinite(low)) AS min_rank,
    argMaxIf(rank, high, isFinite(high)) AS max_rank,
    quantilesExactInclusiveIf(0.05, 0.5, 0.95)(own, isFinite(own) AND {percentiles:UInt8} = 1) AS percentiles,
    count() AS ranks,
    sum(odd) AS not_finite
FROM
(
    SELECT
        rank,
        intDiv(step + {grid:Int64}, {width:Int64}) AS bucket,
        min(step) AS low_step,
        max(step) AS high_step,
        avgIf(value, isFinite(value)) AS own,
        if(countIf(isFinite(value)) = 0, nan, minIf(value, isFinite(value))) AS low,
        if(countIf(isFinite(value)) = 0, nan, maxIf(value, isFinite(value))) AS high,
        count() - countIf(isFinite(value)) AS odd
    FROM points FINAL
    PREWHERE project = {project:String} AND run = {run:String} AND metric = {metric:String}
      AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
      AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
    GROUP BY rank, bucket
)
GROUP BY bucket
ORDER BY bucket
