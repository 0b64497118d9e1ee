-- The highest stored step of each series that reaches the step `low`. Without `metrics`, all metrics are read.
-- Parameters: project, runs, ranks, metrics, low.
SELECT toString(run) AS run, rank, toString(metric) AS metric, max(step) AS top
FROM points
WHERE project = {project:String} AND run IN {runs:Array(String)} AND rank IN {ranks:Array(UInt32)}
  AND (empty({metrics:Array(String)}) OR metric IN {metrics:Array(String)}) AND step >= {low:Int64}
GROUP BY run, rank, metric
