-- Deleted metrics of runs, and the runs themselves (metric = ''). Parameters: project; runs.
SELECT run, metric, max(epoch) AS epoch
FROM tombstones
WHERE project = {project:String} AND run IN {runs:Array(String)}
GROUP BY run, metric
