-- Every run of which any table has a row, with its ranks.
SELECT project, run, max(ranks) AS world_size
FROM
(
    SELECT toString(project) AS project, run, world_size AS ranks FROM streams
    UNION ALL
    SELECT toString(project) AS project, run, toUInt32(0) AS ranks FROM ledger
)
GROUP BY project, run
ORDER BY project, run
