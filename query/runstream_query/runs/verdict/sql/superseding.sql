-- The number of rows that could have replaced those of a block: the same rank and steps, and a newer version.
-- Parameters: project; run; rank; low, high: steps; version: rows above it count.
SELECT count() AS rows
FROM points FINAL
WHERE project = {project:String} AND run = {run:String} AND rank = {rank:UInt32}
  AND step BETWEEN {low:Int64} AND {high:Int64} AND version > {version:UInt64}
