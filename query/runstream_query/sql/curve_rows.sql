-- Rows of `points` of several runs and metrics, superseded ones included, in any order. Runs and metrics come as their places
-- in the question's lists. Without `version`, which takes as long to read as all the rest: where no key comes twice it is
-- not needed. Parameters: project; runs, metrics, each with its numbers; ranks (empty: all); min_step, max_step; limit.
SELECT
    transform(run, {runs:Array(String)}, {run_numbers:Array(UInt16)}, toUInt16(0)) AS run_number,
    transform(metric, {metrics:Array(String)}, {metric_numbers:Array(UInt16)}, toUInt16(0)) AS metric_number,
    rank,
    step,
    value,
    toUnixTimestamp64Micro(time) AS time_us
FROM points
WHERE project = {project:String} AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
LIMIT {limit:UInt32}
