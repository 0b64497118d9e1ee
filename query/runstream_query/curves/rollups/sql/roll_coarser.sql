-- Put roll-ups of 2^bits steps together to cells of 2^(bits + more). Parameters: part; project; run; series, as (metric,
-- rank); bits; more.
INSERT INTO rollups
SELECT
    project,
    run,
    metric,
    rank,
    part,
    bitShiftLeft(toInt64(1), {bits:UInt8} + {more:UInt8}) AS width,
    bitShiftRight(r.bucket, {more:UInt8}) AS bucket,
    min(r.first_step) AS first_step,
    max(r.last_step) AS last_step,
    argMin(r.first, r.first_step) AS first,
    argMax(r.last, r.last_step) AS last,
    if(sum(r.finite) = 0, nan, minIf(r.minimum, r.finite > 0)) AS minimum,
    if(sum(r.finite) = 0, nan, maxIf(r.maximum, r.finite > 0)) AS maximum,
    sum(r.total) AS total,
    sum(r.finite) AS finite,
    sum(r.points) AS points,
    min(r.earliest) AS earliest,
    max(r.latest) AS latest,
    any(run_month) AS run_month
FROM rollups AS r FINAL
WHERE part = {part:String} AND project = {project:String} AND run = {run:String}
  AND (metric, rank) IN {series:Array(Tuple(String, UInt32))} AND r.width = bitShiftLeft(toInt64(1), {bits:UInt8})
GROUP BY project, run, metric, rank, part, bitShiftRight(r.bucket, {more:UInt8})
