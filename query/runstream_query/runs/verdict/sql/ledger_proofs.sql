-- The hashes that the writer stored for each batch, the oldest attempt first. Parameters: project; runs.
SELECT run, writer, batch, rank, epoch, first_record, last_record, points, rejected, low_step, high_step,
    proved, blocks, block_rows, block_digests, documents, documents_proved, document_keys, document_hashes
FROM ledger FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
ORDER BY run, epoch, first_record
LIMIT 5000000
