-- Parts that the engine put aside because it could not read them: their rows are not there for any query. Parameters: limit.
SELECT table, name, reason
FROM system.detached_parts
WHERE database = currentDatabase() AND (startsWith(reason, 'broken') OR startsWith(reason, 'unexpected')
    OR startsWith(reason, 'noquorum'))
ORDER BY table, name
LIMIT {limit:UInt32}
