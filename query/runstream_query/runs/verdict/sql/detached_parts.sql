-- Parts that the engine detached because it could not read them: no query returns their rows. Parameters: limit.
SELECT table, name, reason
FROM system.detached_parts
WHERE database = currentDatabase() AND (startsWith(reason, 'broken') OR startsWith(reason, 'unexpected')
    OR startsWith(reason, 'noquorum'))
ORDER BY table, name
LIMIT {limit:UInt32}
