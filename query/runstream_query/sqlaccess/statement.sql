-- A user's SQL as the engine formats it (one statement, without comments; an error for none or several), and the tables
-- of our database, each with whether it has a column `project`. Parameters: sql.
SELECT
    formatQuerySingleLine({sql:String}) AS canonical,
    (
        SELECT groupArray((table, with_project))
        FROM
        (
            SELECT table, max(name = 'project' AND type IN ('String', 'LowCardinality(String)')) AS with_project
            FROM system.columns
            WHERE database = currentDatabase()
              AND table NOT IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View')
            GROUP BY table
        )
    ) AS tables
