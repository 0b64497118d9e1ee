-- The aggregates that `define_metric(summary=...)` requests, over all ranks and steps of the current finite values.
-- Parameters: project; runs; metrics.
SELECT
    run,
    metric,
    min(value) AS low,
    max(value) AS high,
    avg(value) AS mean,
    argMin(value, (step, rank)) AS first
FROM points FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
  AND isFinite(value)
GROUP BY run, metric
