-- Some blocks of 32 records of a run, each of their rows once, however often it was sent: how many, and the sum of their
-- hashes as in `point_blocks.sql`; and of how many of them it is noted that they lost to a newer one, which the engine may
-- forget or not. Rows that lost and whose own batch the ledger does not have under their epoch are left out, as in
-- `replaced_blocks.sql`. Parameters: project; run; blocks.
WITH
noted AS
(
    SELECT version, hash, bitShiftRight(version, 40) AS epoch, bitAnd(version, 1099511627775) AS record
    FROM replaced_points FINAL
    ARRAY JOIN versions AS version, hashes AS hash
    WHERE project = {project:String} AND run = {run:String} AND bitShiftRight(version, 5) IN {blocks:Array(UInt64)}
      AND (writer, batch) IN (SELECT writer, batch FROM ledger WHERE project = {project:String} AND run = {run:String})
),
expected AS
(
    SELECT noted.hash AS hash
    FROM noted
    ASOF INNER JOIN
    (
        SELECT epoch, first_record, last_record
        FROM ledger FINAL
        WHERE project = {project:String} AND run = {run:String}
    ) AS own
    ON noted.epoch = own.epoch AND noted.record >= own.first_record
    WHERE noted.record <= own.last_record
)
SELECT
    block,
    count() AS rows,
    sum(hash) AS digest,
    countIf(hash IN (SELECT hash FROM expected)) AS replaced_rows,
    sumIf(hash, hash IN (SELECT hash FROM expected)) AS replaced_digest
FROM
(
    SELECT DISTINCT
        bitShiftRight(version, 5) AS block,
        intHash64(
            intHash64(bitXor(reinterpretAsUInt64(value), reinterpretAsUInt64(SHA256(toString(metric)))))
            + reinterpretAsUInt64(step) * toUInt64(11400714819323198485)
            + reinterpretAsUInt64(toUnixTimestamp64Micro(time)) * toUInt64(14029467366897019727)
            + version * toUInt64(1609587929392839161)
            + toUInt64(rank) * toUInt64(2870177450012600261)) AS hash
    FROM points
    WHERE project = {project:String} AND run = {run:String}
      AND bitShiftRight(version, 5) IN {blocks:Array(UInt64)}
)
WHERE hash NOT IN (SELECT hash FROM noted) OR hash IN (SELECT hash FROM expected)
GROUP BY block
