-- What has been stored of each process, batch by batch. Parameters: project; run.
SELECT writer, batch, rank, first_record, last_record, points, rejected,
    epoch, low_step, high_step, proved, blocks, block_rows, block_digests, toUnixTimestamp64Micro(received) AS received_us
FROM ledger FINAL
WHERE project = {project:String} AND run = {run:String}
ORDER BY writer, first_record
LIMIT 5000000
