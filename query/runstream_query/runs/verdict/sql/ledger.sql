-- The stored batches of each process. Parameters: project; runs.
SELECT run, writer, batch, rank, epoch, first_record, last_record, points, rejected,
    toUnixTimestamp64Micro(received) AS received_us
FROM ledger FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
ORDER BY run, writer, first_record
LIMIT 5000000
