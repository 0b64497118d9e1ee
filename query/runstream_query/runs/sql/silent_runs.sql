-- Runs of a project that were not heard from since `before_us`, with their last attempt.
-- Parameters: project; before_us; limit.
SELECT run, max(epoch) AS epoch
FROM streams FINAL
WHERE project = {project:String}
GROUP BY run
HAVING toUnixTimestamp64Micro(max(received)) < {before_us:Int64}
ORDER BY run
LIMIT {limit:UInt32}
