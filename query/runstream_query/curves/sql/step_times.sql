-- Each rank's mean seconds a step in a range of steps: from its points' times, or (by_value) the mean of the metric's finite
-- values. Parameters: project; run; metric; min_step, max_step; by_value.
SELECT
    rank,
    if({by_value:UInt8} = 1,
       avgIf(value, isFinite(value)),
       if(max(step) > min(step),
          (toUnixTimestamp64Micro(argMax(time, step)) - toUnixTimestamp64Micro(argMin(time, step))) / 1e6
              / (max(step) - min(step)),
          nan)) AS step_s
FROM points FINAL
PREWHERE project = {project:String} AND run = {run:String} AND metric = {metric:String}
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
GROUP BY rank
ORDER BY rank
