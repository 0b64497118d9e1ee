-- Where a series has points in other parts than these, superseded ones included. Parameters: project; run; metric; rank;
-- parts; min_step, max_step.
SELECT _part AS part, min(step) AS first_step, max(step) AS last_step
FROM points
WHERE project = {project:String} AND run = {run:String} AND metric = {metric:String} AND rank = {rank:UInt32}
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64} AND _part NOT IN {parts:Array(String)}
GROUP BY part
