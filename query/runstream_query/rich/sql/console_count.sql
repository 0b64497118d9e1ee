-- The number of lines of the console. Parameters as in console.sql.
SELECT count() AS lines
FROM console FINAL
WHERE project = {project:String} AND run = {run:String}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND ({output:String} = '' OR output = {output:String})
  AND ({writer:String} = '' OR writer = {writer:String})
  AND ({search:String} = ''
       OR if({match_case:UInt8}, position(text, {search:String}), positionCaseInsensitiveUTF8(text, {search:String})) > 0)
  AND ({pattern:String} = '' OR match(text, {pattern:String}))
