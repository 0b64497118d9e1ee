-- Texts logged under keys, newest step first. Parameters: project; run; keys; ranks (empty: all); min_step, max_step;
-- after_rank (< 0: the first page), after_step, after_key: the last of the page before; limit.
SELECT key, rank, step, value, toUnixTimestamp64Micro(time) AS time_us
FROM strings FINAL
WHERE project = {project:String} AND run = {run:String} AND key IN {keys:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
  AND ({after_rank:Int64} < 0
       OR (step, key, rank) < ({after_step:Int64}, {after_key:String}, {after_rank:Int64}))
ORDER BY step DESC, key DESC, rank DESC
LIMIT {limit:UInt32}
