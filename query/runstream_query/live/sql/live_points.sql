-- Current points in record ranges of a run. Each range belongs to one process (its epoch is the upper part of the
-- version). The steps of the batches narrow the read by the primary key, and are checked before the other columns are
-- read (which is safe under FINAL: all versions of a row have the same step).
-- Parameters: project; run; metrics (names); pattern ('' = none): RE2, of further names; ranks of the processes;
-- min_step, max_step; epochs, lows, highs: versions, one range for each epoch; limit.
WITH bitShiftRight(version, 40) AS epoch
SELECT metric, rank, step, value, toUnixTimestamp64Micro(time) AS time_us
FROM points FINAL
PREWHERE rank IN {ranks:Array(UInt32)} AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
WHERE project = {project:String} AND run = {run:String}
  AND metric IN
  (
      SELECT DISTINCT metric FROM series
      WHERE project = {project:String} AND run = {run:String} AND rank IN {ranks:Array(UInt32)}
        AND (metric IN {metrics:Array(String)} OR ({pattern:String} != '' AND match(metric, {pattern:String})))
  )
  AND version >= transform(epoch, {epochs:Array(UInt64)}, {lows:Array(UInt64)}, toUInt64(18446744073709551615))
  AND version <= transform(epoch, {epochs:Array(UInt64)}, {highs:Array(UInt64)}, toUInt64(0))
ORDER BY metric, rank, version
LIMIT {limit:UInt32}
