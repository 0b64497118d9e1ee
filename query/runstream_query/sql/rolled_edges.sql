-- Roll-ups of a series in one part that lie across an end of the range of times: some of their points are in it.
-- Parameters: project; run; metric; rank; part; cell: the width of its roll-ups; first_cell, last_cell: which, inclusive;
-- min_us, max_us; limit.
SELECT DISTINCT rollups.bucket AS cell_number
FROM rollups
WHERE project = {project:String} AND run = {run:String} AND metric = {metric:String} AND rank = {rank:UInt32}
  AND part = {part:String} AND rollups.width = {cell:Int64}
  AND rollups.bucket BETWEEN {first_cell:Int64} AND {last_cell:Int64}
  AND earliest <= fromUnixTimestamp64Micro({max_us:Int64}) AND latest >= fromUnixTimestamp64Micro({min_us:Int64})
  AND (earliest < fromUnixTimestamp64Micro({min_us:Int64}) OR latest > fromUnixTimestamp64Micro({max_us:Int64}))
ORDER BY cell_number
LIMIT {limit:UInt32}
