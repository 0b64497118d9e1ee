-- Lines of the console from the end. The lines of the page are found first, without reading the texts of other lines
-- (except for a search). Parameters: project; run; ranks (empty: all); output ('' = both); writer ('' = all); search
-- ('' = all); pattern ('' = none): RE2; match_case; after_us (< 0: the first page), after_rank, after_output,
-- after_writer, after_line: the last line of the previous page; limit.
SELECT rank, output, writer, line, text, toUnixTimestamp64Micro(time) AS time_us
FROM console FINAL
WHERE project = {project:String} AND run = {run:String}
  AND (rank, output, writer, line) IN
  (
      SELECT rank, output, writer, line
      FROM console FINAL
      WHERE project = {project:String} AND run = {run:String}
        AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
        AND ({output:String} = '' OR output = {output:String})
        AND ({writer:String} = '' OR writer = {writer:String})
        AND ({search:String} = ''
             OR if({match_case:UInt8}, position(text, {search:String}), positionCaseInsensitiveUTF8(text, {search:String})) > 0)
        AND ({pattern:String} = '' OR match(text, {pattern:String}))
        AND ({after_us:Int64} < 0
             OR (toUnixTimestamp64Micro(time), rank, output, writer, line)
                < ({after_us:Int64}, {after_rank:UInt32}, {after_output:String}, {after_writer:String}, {after_line:UInt64}))
      ORDER BY time DESC, rank DESC, output DESC, writer DESC, line DESC
      LIMIT {limit:UInt32}
  )
ORDER BY time DESC, rank DESC, output DESC, writer DESC, line DESC
