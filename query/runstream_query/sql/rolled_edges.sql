-- Roll-ups of a series that lie across an end of the range of times: some of their points are in it. The same parameters as
-- rolled_buckets.sql, without the grid; limit.
SELECT DISTINCT rollups.width AS width, rollups.bucket AS bucket
FROM rollups
WHERE project = {project:String} AND run = {run:String} AND metric = {metric:String} AND rank = {rank:UInt32}
  AND part IN {parts:Array(String)} AND rollups.width IN {widths:Array(Int64)}
  AND arrayExists(
      (p, w, a, z) -> part = p AND rollups.width = w AND rollups.bucket BETWEEN a AND z,
      {parts:Array(String)}, {widths:Array(Int64)}, {firsts:Array(Int64)}, {lasts:Array(Int64)})
  AND earliest <= fromUnixTimestamp64Micro({max_us:Int64}) AND latest >= fromUnixTimestamp64Micro({min_us:Int64})
  AND (earliest < fromUnixTimestamp64Micro({min_us:Int64}) OR latest > fromUnixTimestamp64Micro({max_us:Int64}))
ORDER BY bucket
LIMIT {limit:UInt32}
