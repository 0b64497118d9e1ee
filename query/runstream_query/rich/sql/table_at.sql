-- One logged table: of the newest step or of the requested one, from the lowest rank that has it. Rows of other tables
-- are not read. Parameters: project; run; key; ranks (empty: any); min_step, max_step.
SELECT rank, step, columns, row_count, rows, plot, version, toUnixTimestamp64Micro(time) AS time_us
FROM tables FINAL
WHERE project = {project:String} AND run = {run:String} AND key = {key:String}
  AND (rank, step) IN
  (
      SELECT rank, step FROM tables
      WHERE project = {project:String} AND run = {run:String} AND key = {key:String}
        AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
        AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
      ORDER BY step DESC, rank
      LIMIT 1
  )
