-- Across the ranks of a run, step by step: a rank has one point a step. Grouped by the step alone: a number is the fastest
-- key. Parameters: project; run; metric; ranks (empty: all); min_step, max_step; percentiles: 1, or 0 for none.
SELECT
    step AS bucket,
    step AS first_step,
    step AS last_step,
    avgIf(value, isFinite(value)) AS mean,
    stddevPopIf(value, isFinite(value)) AS std,
    if(countIf(isFinite(value)) = 0, nan, minIf(value, isFinite(value))) AS minimum,
    if(countIf(isFinite(value)) = 0, nan, maxIf(value, isFinite(value))) AS maximum,
    argMinIf(rank, value, isFinite(value)) AS min_rank,
    argMaxIf(rank, value, isFinite(value)) AS max_rank,
    quantilesExactInclusiveIf(0.05, 0.5, 0.95)(value, isFinite(value) AND {percentiles:UInt8} = 1) AS percentiles,
    count() AS ranks,
    count() - countIf(isFinite(value)) AS not_finite
FROM points FINAL
PREWHERE project = {project:String} AND run = {run:String} AND metric = {metric:String}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
GROUP BY step
ORDER BY step
