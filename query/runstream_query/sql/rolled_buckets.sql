-- Roll-ups of a series put together to buckets of `width` steps, a multiple of their own; those that lie in the range of
-- times with all their points. Ranges of roll-ups are inclusive. `grid` makes every step positive.
-- Parameters: project; run; metric; rank; parts, each with the width of its roll-ups and the first and the last of them
-- that is wanted (a part may come several times); min_us, max_us; width; grid.
SELECT
    intDiv(rollups.bucket * rollups.width + {grid:Int64}, {width:Int64}) AS whole,
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
WHERE project = {project:String} AND run = {run:String} AND metric = {metric:String} AND rank = {rank:UInt32}
  AND part IN {parts:Array(String)} AND rollups.width IN {widths:Array(Int64)}
  AND arrayExists(
      (p, w, a, z) -> part = p AND rollups.width = w AND rollups.bucket BETWEEN a AND z,
      {parts:Array(String)}, {widths:Array(Int64)}, {firsts:Array(Int64)}, {lasts:Array(Int64)})
  AND earliest >= fromUnixTimestamp64Micro({min_us:Int64}) AND latest <= fromUnixTimestamp64Micro({max_us:Int64})
GROUP BY whole
ORDER BY whole
