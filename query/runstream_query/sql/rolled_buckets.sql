-- Roll-ups of a series in one part, put together to buckets of `width` steps, a multiple of their own; those that lie in the
-- range of times with all their points. `grid` makes every step positive.
-- Parameters: project; run; metric; rank; part; cell: the width of its roll-ups; first_cell, last_cell: which, inclusive;
-- min_us, max_us; width; grid.
SELECT
    intDiv(rollups.bucket * {cell:Int64} + {grid:Int64}, {width:Int64}) AS whole,
    min(first_step) AS low_step,
    max(last_step) AS high_step,
    argMin(first, first_step) AS first_value,
    argMax(last, last_step) AS last_value,
    if(sum(finite) = 0, nan, minIf(minimum, finite > 0)) AS low,
    if(sum(finite) = 0, nan, maxIf(maximum, finite > 0)) AS high,
    sum(total) AS sum_total,
    sum(finite) AS sum_finite,
    sum(points) AS sum_points,
    toUnixTimestamp64Micro(min(earliest)) AS earliest_us
FROM rollups FINAL
PREWHERE project = {project:String} AND run = {run:String} AND metric = {metric:String} AND rank = {rank:UInt32}
  AND part = {part:String} AND rollups.width = {cell:Int64}
  AND rollups.bucket BETWEEN {first_cell:Int64} AND {last_cell:Int64}
WHERE earliest >= fromUnixTimestamp64Micro({min_us:Int64}) AND latest <= fromUnixTimestamp64Micro({max_us:Int64})
GROUP BY whole
ORDER BY whole
