-- On which host each rank's newest process runs. Parameters: project; run.
SELECT rank, argMax(host, epoch) AS newest_host
FROM streams FINAL
WHERE project = {project:String} AND run = {run:String} AND event = 'start' AND helper = 0
GROUP BY rank
ORDER BY rank
