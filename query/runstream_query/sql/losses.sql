-- Points that never came, as the processes' senders reported. Parameters: project; run; prefix: of such reasons.
SELECT writer, sum(points) AS lost
FROM rejects FINAL
WHERE project = {project:String} AND run = {run:String} AND startsWith(reason, {prefix:String})
GROUP BY writer
