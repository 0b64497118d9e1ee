-- Roll up series of one run in one part, in cells of 2^bits steps. FINAL: a part that was never merged may hold a step twice.
-- Parameters: part; project; run; series, as (metric, rank); bits.
INSERT INTO rollups
SELECT
    project,
    run,
    metric,
    rank,
    {part:String} AS part,
    bitShiftLeft(toInt64(1), {bits:UInt8}) AS width,
    bitShiftRight(step, {bits:UInt8}) AS bucket,
    min(step) AS first_step,
    max(step) AS last_step,
    argMin(value, step) AS first,
    argMax(value, step) AS last,
    if(countIf(isFinite(value)) = 0, nan, minIf(value, isFinite(value))) AS minimum,
    if(countIf(isFinite(value)) = 0, nan, maxIf(value, isFinite(value))) AS maximum,
    sumIf(value, isFinite(value)) AS total,
    countIf(isFinite(value)) AS finite,
    count() AS points,
    min(time) AS earliest,
    max(time) AS latest,
    any(run_month) AS run_month
FROM points FINAL
WHERE _part = {part:String} AND project = {project:String} AND run = {run:String}
  AND (metric, rank) IN {series:Array(Tuple(String, UInt32))}
GROUP BY project, run, metric, rank, bucket
