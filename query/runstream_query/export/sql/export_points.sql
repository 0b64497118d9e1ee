-- Current points as logged, in the order of the primary key: they are read and merged in this order, without sorting or
-- gathering.
-- Parameters: project; runs (empty: all); metrics: names; pattern of further names ('' = none; both empty: all); ranks
-- (empty: all); min_step, max_step. `epoch_column` adds the attempt if requested; otherwise it is a comment.
SELECT run, metric, rank, step, value, time
    /*epoch_column , toUInt32(bitShiftRight(version, 40)) AS epoch epoch_column*/
FROM points FINAL
WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
  AND ((empty({metrics:Array(String)}) AND {pattern:String} = '')
       OR metric IN {metrics:Array(String)}
       OR ({pattern:String} != '' AND match(metric, {pattern:String})))
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
ORDER BY run, metric, rank, step
