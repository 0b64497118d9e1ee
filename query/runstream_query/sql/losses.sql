-- Batches in which the processes' senders reported records that never came. Parameters: project; run; prefix: of such
-- reasons.
SELECT writer, batch, sum(points) AS points
FROM rejects FINAL
WHERE project = {project:String} AND run = {run:String} AND startsWith(reason, {prefix:String})
GROUP BY writer, batch
