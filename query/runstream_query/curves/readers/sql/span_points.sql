-- Points of one series in a range of steps. Parameters: project; run; metric; rank; min_step, max_step.
SELECT step, value, toUnixTimestamp64Micro(time) AS time_us
FROM points FINAL
PREWHERE project = {project:String} AND run = {run:String} AND metric = {metric:String} AND rank = {rank:UInt32}
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
