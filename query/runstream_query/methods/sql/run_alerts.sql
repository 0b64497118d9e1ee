-- Alerts of a run or of all runs of a project, newest first. Parameters: project; run ('' = all); levels (empty: all);
-- after_us (< 0: the first page), after_run, after_writer, after_number: the last of the page before; limit.
SELECT run, writer, number, rank, level, title, text, toUnixTimestamp64Micro(time) AS time_us
FROM alerts FINAL
WHERE project = {project:String} AND ({run:String} = '' OR run = {run:String})
  AND (empty({levels:Array(String)}) OR level IN {levels:Array(String)})
  AND ({after_us:Int64} < 0
       OR (toUnixTimestamp64Micro(time), run, writer, number)
          < ({after_us:Int64}, {after_run:String}, {after_writer:String}, {after_number:UInt64}))
ORDER BY time_us DESC, run DESC, writer DESC, number DESC
LIMIT {limit:UInt32}
