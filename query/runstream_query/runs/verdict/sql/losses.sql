-- Batches in which senders reported lost records.
-- Parameters: project; runs; prefix: the beginning of the reasons for such batches.
SELECT run, writer, batch, sum(points) AS points
FROM rejects FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)} AND startsWith(reason, {prefix:String})
GROUP BY run, writer, batch
