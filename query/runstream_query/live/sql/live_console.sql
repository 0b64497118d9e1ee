-- Current console lines in record ranges of a run. Parameters: project; run; ranks (empty: all); low, high: the lowest
-- and highest version of all ranges; epochs, lows, highs: versions, one range for each epoch; limit.
WITH bitShiftRight(version, 40) AS epoch
SELECT rank, output, writer, line, text, toUnixTimestamp64Micro(time) AS time_us
FROM console FINAL
WHERE project = {project:String} AND run = {run:String}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND version BETWEEN {low:UInt64} AND {high:UInt64}
  AND version >= transform(epoch, {epochs:Array(UInt64)}, {lows:Array(UInt64)}, toUInt64(18446744073709551615))
  AND version <= transform(epoch, {epochs:Array(UInt64)}, {highs:Array(UInt64)}, toUInt64(0))
ORDER BY time, rank, output, writer, line
LIMIT {limit:UInt32}
