-- Where each rank's steps end, system metrics apart (their steps are seconds). Parameters: project; run.
SELECT rank, max(tupleElement(last, 1)) AS last_step
FROM series
WHERE project = {project:String} AND run = {run:String} AND NOT startsWith(metric, 'system/')
GROUP BY rank
ORDER BY rank
