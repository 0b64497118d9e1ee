-- The rows of `points` of some runs, by block of 32 records of a process: how many, and the sum of their hashes, as
-- `runstream_common.proofs` computes it of what the writer stored. Rows that were replaced and not merged away yet are
-- counted, as they are in the ledger; where a row may be there twice, FINAL is added. Parameters: project; runs.
SELECT
    toString(run) AS run,
    bitShiftRight(version, 5) AS block,
    count() AS rows,
    sum(intHash64(
        intHash64(bitXor(reinterpretAsUInt64(value), reinterpretAsUInt64(SHA256(toString(metric)))))
        + reinterpretAsUInt64(step) * toUInt64(11400714819323198485)
        + reinterpretAsUInt64(toUnixTimestamp64Micro(time)) * toUInt64(14029467366897019727)
        + version * toUInt64(1609587929392839161)
        + toUInt64(rank) * toUInt64(2870177450012600261))) AS digest
FROM points
WHERE project = {project:String} AND run IN {runs:Array(String)}
GROUP BY run, block
