-- Batches that were stored in the last `ago_us` microseconds, by ClickHouse's own clock. Parameters: project; ago_us;
-- limit.
SELECT run, writer, batch, rank, epoch, first_record, last_record, points, documents, low_step, high_step
FROM ledger
WHERE project = {project:String} AND stored >= now64(6) - toIntervalMicrosecond({ago_us:Int64})
ORDER BY stored
LIMIT {limit:UInt32}
