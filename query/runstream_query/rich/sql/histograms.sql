-- Histograms as logged. Parameters: project; run; key; ranks (empty: all); min_step, max_step.
SELECT rank, step, edges, counts, toUnixTimestamp64Micro(time) AS time_us
FROM histograms FINAL
WHERE project = {project:String} AND run = {run:String} AND key = {key:String}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
ORDER BY step, rank
