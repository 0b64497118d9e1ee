-- The rows of `points` of some runs that lost to a newer one of the same metric, rank and step, as the writer noted them
-- before it stored what they lost to, by block of 32 records of a process. A note holds where its batch is in the ledger;
-- `pending`: rows that are noted by batches that are not there yet. Parameters: project; runs.
SELECT run, bitShiftRight(version, 5) AS block, countIf(holds) AS rows, sumIf(hash, holds) AS digest,
    countIf(NOT holds) AS pending
FROM
(
    SELECT run, version, hash, max((run, writer, batch) IN
        (
            SELECT run, writer, batch
            FROM ledger
            WHERE project = {project:String} AND run IN {runs:Array(String)}
        )) AS holds
    FROM replaced_points FINAL
    ARRAY JOIN versions AS version, hashes AS hash
    WHERE project = {project:String} AND run IN {runs:Array(String)}
    GROUP BY run, version, hash
)
GROUP BY run, block
