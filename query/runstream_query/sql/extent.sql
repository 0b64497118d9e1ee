-- How far each curve reaches and how many rows it has, superseded ones included. Parameters: project; runs; metrics;
-- ranks (empty: all); min_step, max_step.
SELECT run, metric, min(step) AS first_step, max(step) AS last_step, count() AS rows
FROM points
WHERE project = {project:String} AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
GROUP BY run, metric
