-- Batches in which the processes' senders reported records that never came. Parameters: project; runs; prefix: of such
-- reasons.
SELECT run, writer, batch, sum(points) AS points
FROM rejects FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)} AND startsWith(reason, {prefix:String})
GROUP BY run, writer, batch
