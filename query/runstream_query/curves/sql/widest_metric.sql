-- The metric that the most ranks logged, of those the one that was logged last; system metrics apart.
-- Parameters: project; run.
SELECT metric, uniqExact(rank) AS ranks, max(tupleElement(last, 4)) AS newest
FROM series
WHERE project = {project:String} AND run = {run:String} AND NOT startsWith(metric, 'system/')
GROUP BY metric
ORDER BY ranks DESC, newest DESC, metric
LIMIT 1
