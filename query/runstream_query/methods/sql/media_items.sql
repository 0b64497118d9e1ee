-- Media as logged. Parameters: project; run; prefix (of the key); ranks (empty: all); types (how media types begin;
-- empty: all); min_step, max_step; newest: 1: of each key and rank its highest step in the range only; after_rank (< 0:
-- the first page), after_key, after_step, after_item: the last of the page before; limit.
SELECT key, rank, step, item, media_type, toString(sha256) AS content, size_bytes, caption, metadata,
       toUnixTimestamp64Micro(time) AS time_us
FROM media FINAL
WHERE project = {project:String} AND run = {run:String} AND startsWith(key, {prefix:String})
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
  AND (empty({types:Array(String)}) OR arrayExists(type -> startsWith(media_type, type), {types:Array(String)}))
  AND ({newest:UInt8} = 0 OR (key, rank, step) IN
  (
      SELECT key, rank, max(step) FROM media
      WHERE project = {project:String} AND run = {run:String} AND startsWith(key, {prefix:String})
        AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
      GROUP BY key, rank
  ))
  AND ({after_rank:Int64} < 0
       OR (key, step, rank, item) > ({after_key:String}, {after_step:Int64}, {after_rank:Int64}, {after_item:Int64}))
ORDER BY key, step, rank, item
LIMIT {limit:UInt32}
