-- The rows of `points` of some runs that lost to a newer one of the same metric, rank and step, as the writer noted them
-- before it stored what they lost to, by block of 32 records of a process. A note holds where its batch is in the ledger;
-- `pending`: rows that are noted by batches that are not there yet. Of no interest are rows whose own batch the ledger does not
-- have under their epoch: nobody expects them (their process was given another epoch, and sent the batch again).
-- Parameters: project; runs.
SELECT run, block, countIf(holds) AS rows, sumIf(hash, holds) AS digest, countIf(NOT holds) AS pending
FROM
(
    SELECT noted.run AS run, bitShiftRight(noted.version, 5) AS block, noted.hash AS hash, noted.holds AS holds
    FROM
    (
        SELECT run, version, hash, bitShiftRight(version, 40) AS epoch, bitAnd(version, 1099511627775) AS record,
            max((run, writer, batch) IN
            (
                SELECT run, writer, batch
                FROM ledger
                WHERE project = {project:String} AND run IN {runs:Array(String)}
            )) AS holds
        FROM replaced_points FINAL
        ARRAY JOIN versions AS version, hashes AS hash
        WHERE project = {project:String} AND run IN {runs:Array(String)}
        GROUP BY run, version, hash
    ) AS noted
    ASOF INNER JOIN
    (
        SELECT toString(run) AS run, epoch, first_record, last_record
        FROM ledger FINAL
        WHERE project = {project:String} AND run IN {runs:Array(String)}
    ) AS own
    ON noted.run = own.run AND noted.epoch = own.epoch AND noted.record >= own.first_record
    WHERE noted.record <= own.last_record
)
GROUP BY run, block
