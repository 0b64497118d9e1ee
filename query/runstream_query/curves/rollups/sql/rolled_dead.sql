-- Parts that were looked at and exist no more. Parameters: limit.
SELECT part FROM rolled_parts
WHERE part NOT IN (SELECT name FROM system.parts WHERE database = currentDatabase() AND table = 'points' AND active)
GROUP BY part
ORDER BY part
LIMIT {limit:UInt32}
