-- Points of several runs and metrics: one row a series, by its name, with the columns of its points as arrays, in any
-- order, the same for all of them. PREWHERE: the conditions are on the key, which all versions of a row share, so filtering
-- before FINAL loses none and reads a third. The range of times is a run's own. Parameters: project; runs; metrics; ranks
-- (empty: all); min_step, max_step; by_time; min_us, max_us, by run, where by_time is 1.
SELECT run, metric, rank, groupArray(step) AS step, groupArray(value) AS value, groupArray(time_us) AS time_us
FROM
(
    SELECT run, metric, rank, step, value, toUnixTimestamp64Micro(time) AS time_us
    FROM points FINAL
    PREWHERE project = {project:String} AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
      AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
      AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
    WHERE ({by_time:UInt8} = 0
           OR toUnixTimestamp64Micro(time) BETWEEN transform(run, {runs:Array(String)}, {min_us:Array(Int64)}, toInt64(0))
              AND transform(run, {runs:Array(String)}, {max_us:Array(Int64)}, toInt64(0)))
)
GROUP BY run, metric, rank
ORDER BY run, metric, rank
