-- The rows of a run that are stored now at some steps. Without `metrics`, all metrics are read.
-- Parameters: project, run, ranks, metrics, steps.
SELECT toString(metric) AS metric, rank, step, version, value, toUnixTimestamp64Micro(time) AS time_us
FROM points FINAL
WHERE project = {project:String} AND run = {run:String} AND rank IN {ranks:Array(UInt32)}
  AND (empty({metrics:Array(String)}) OR metric IN {metrics:Array(String)}) AND step IN {steps:Array(Int64)}
