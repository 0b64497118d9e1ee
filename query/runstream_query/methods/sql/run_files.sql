-- Files of a run. Parameters: project; run; category ('' = all); prefix; after ('' = the first page); limit.
SELECT path, category, rank, media_type, toString(sha256) AS content, size_bytes, toUnixTimestamp64Micro(time) AS time_us
FROM files FINAL
WHERE project = {project:String} AND run = {run:String} AND startsWith(path, {prefix:String})
  AND ({category:String} = '' OR category = {category:String}) AND path > {after:String}
ORDER BY path
LIMIT {limit:UInt32}
