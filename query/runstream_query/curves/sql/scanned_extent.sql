-- From where to where the points in a range of steps and times reach, by reading them, superseded ones included.
-- Parameters: project; run; metrics; ranks (empty: all); min_step, max_step; min_us, max_us.
SELECT metric, min(step) AS low_step, max(step) AS high_step
FROM points
WHERE project = {project:String} AND run = {run:String} AND metric IN {metrics:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
  AND time BETWEEN fromUnixTimestamp64Micro({min_us:Int64}) AND fromUnixTimestamp64Micro({max_us:Int64})
GROUP BY metric
ORDER BY metric
