-- Points as logged, in primary key order. Parameters: project; run; metrics; ranks (empty: all); min_step, max_step;
-- after_metric, after_rank, after_step: the last row of the page before (after_rank < 0: none); limit.
SELECT metric, rank, step, value, toUnixTimestamp64Micro(time) AS time_us
FROM points FINAL
PREWHERE project = {project:String} AND run = {run:String} AND metric IN {metrics:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
  AND ({after_rank:Int64} < 0
       OR (metric, rank, step) > ({after_metric:String}, {after_rank:Int64}, {after_step:Int64}))
ORDER BY metric, rank, step
LIMIT {limit:UInt32}
