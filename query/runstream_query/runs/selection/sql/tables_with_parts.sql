-- Tables that have rows, with the columns that an insert may name.
SELECT parts.table AS table, columns.names AS columns
FROM (SELECT DISTINCT table FROM system.parts WHERE database = currentDatabase() AND active) AS parts
LEFT JOIN
(
    SELECT table, groupArray(name) AS names
    FROM system.columns
    WHERE database = currentDatabase() AND default_kind NOT IN ('MATERIALIZED', 'ALIAS')
    GROUP BY table
) AS columns ON columns.table = parts.table
ORDER BY table
