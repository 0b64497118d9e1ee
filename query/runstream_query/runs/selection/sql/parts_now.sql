-- The parts of some tables. Parameters: tables.
SELECT table, name
FROM system.parts
WHERE database = currentDatabase() AND active AND table IN {tables:Array(String)}
