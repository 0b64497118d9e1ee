-- Parts of `points` that were not looked at yet, the smallest first, so that fresh curves come soon. Those of a moment ago
-- are left for the next time: most will be merged away. Parameters: min_rows; settled_s; limit.
SELECT name, rows
FROM system.parts
WHERE database = currentDatabase() AND table = 'points' AND active AND rows >= {min_rows:UInt64}
  AND modification_time <= now() - toIntervalSecond({settled_s:UInt32})
  AND name NOT IN (SELECT part FROM rolled_parts)
ORDER BY rows
LIMIT {limit:UInt32}
