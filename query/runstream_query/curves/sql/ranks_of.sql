-- The ranks that logged a metric, with their last step and time. Parameters: project; run; metric.
SELECT
    rank,
    tupleElement(max(last), 1) AS last_step,
    toUnixTimestamp64Micro(tupleElement(max(last), 4)) AS last_us,
    min(low) AS low_step
FROM series
WHERE project = {project:String} AND run = {run:String} AND metric = {metric:String}
GROUP BY rank
ORDER BY rank
