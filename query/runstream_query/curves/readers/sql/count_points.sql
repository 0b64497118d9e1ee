-- How many rows a request would read, superseded ones included. Parameters: project; run; metrics; ranks (empty: all);
-- min_step, max_step.
SELECT count() AS rows
FROM points
WHERE project = {project:String} AND run = {run:String} AND metric IN {metrics:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
