-- How many rows of some steps have a newer one of the same metric, rank and step beside them, merged or not.
-- Parameters: project; run; steps.
SELECT count() - uniqExact(metric, rank, step) AS rows
FROM points
WHERE project = {project:String} AND run = {run:String} AND step IN {steps:Array(Int64)}
