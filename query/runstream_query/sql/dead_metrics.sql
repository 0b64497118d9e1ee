-- Deleted metrics of a run, and the run itself (metric = ''). Parameters: project; run.
SELECT metric, max(epoch) AS epoch
FROM tombstones
WHERE project = {project:String} AND run = {run:String}
GROUP BY metric
