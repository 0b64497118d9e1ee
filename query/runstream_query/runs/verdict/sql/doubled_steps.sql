-- The number of rows of some steps that have a newer row of the same metric, rank and step, merged or not.
-- Parameters: project; run; steps.
SELECT count() - uniqExact(metric, rank, step) AS rows
FROM points
WHERE project = {project:String} AND run = {run:String} AND step IN {steps:Array(Int64)}
