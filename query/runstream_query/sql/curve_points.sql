-- Points of several runs and metrics, by run, metric, rank and step. Runs and metrics come as their places in the
-- question's lists: to order by numbers costs a third of what names cost. PREWHERE: the conditions are on the key, which
-- all versions of a row share, so filtering before FINAL loses none and reads a third. The range of times is a run's own.
-- Parameters: project; runs, metrics, each with its numbers; ranks (empty: all); min_step, max_step; by_time;
-- min_us, max_us, by run, where by_time is 1.
SELECT
    transform(run, {runs:Array(String)}, {run_numbers:Array(UInt16)}, toUInt16(0)) AS run_number,
    transform(metric, {metrics:Array(String)}, {metric_numbers:Array(UInt16)}, toUInt16(0)) AS metric_number,
    rank,
    step,
    value,
    toUnixTimestamp64Micro(time) AS time_us
FROM points FINAL
PREWHERE project = {project:String} AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
WHERE ({by_time:UInt8} = 0
       OR toUnixTimestamp64Micro(time) BETWEEN transform(run, {runs:Array(String)}, {min_us:Array(Int64)}, toInt64(0))
          AND transform(run, {runs:Array(String)}, {max_us:Array(Int64)}, toInt64(0)))
ORDER BY run_number, metric_number, rank, step
