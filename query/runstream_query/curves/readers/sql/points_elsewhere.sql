-- Whether a metric has points in other parts than these, of any rank: a row, or none. Parameters: project; run; metric; parts.
SELECT 1 AS found
FROM points
WHERE project = {project:String} AND run = {run:String} AND metric = {metric:String} AND _part NOT IN {parts:Array(String)}
LIMIT 1
