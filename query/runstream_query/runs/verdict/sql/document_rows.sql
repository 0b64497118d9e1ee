-- The rows of some runs that are no points and survive, but signs of life: the hash of each row's key, with the number of
-- its table in the lowest four bits, and the hash of the row, as `runstream_common.document_proofs` computes them of what
-- the writer stored. Parameters: project; runs.
SELECT
    toString(run) AS run,
    bitOr(bitAnd(reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(section), toString(key)))),
        toUInt64(18446744073709551600)), toUInt64(0)) AS key_hash,
    reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(section), toString(key), toString(version), toString(toUnixTimestamp64Micro(time)),
        toString(value), toString(deleted)))) AS row_hash,
    version AS row_version
FROM run_fields FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
UNION ALL
SELECT
    toString(run) AS run,
    bitOr(bitAnd(reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(writer), toString(event)))),
        toUInt64(18446744073709551600)), toUInt64(1)) AS key_hash,
    reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(writer), toString(event), toString(version), toString(toUnixTimestamp64Micro(time)),
        toString(rank), toString(epoch), toString(world_size), toString(host), toString(pid), toString(user),
        toString(helper), toString(outcome), toString(exit_code), toString(points), toString(records),
        toString(dropped_points)))) AS row_hash,
    version AS row_version
FROM streams FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)} AND event != 'heartbeat'
UNION ALL
SELECT
    toString(run) AS run,
    bitOr(bitAnd(reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(key), toString(rank), toString(step)))),
        toUInt64(18446744073709551600)), toUInt64(2)) AS key_hash,
    reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(key), toString(rank), toString(step), toString(version),
        toString(toUnixTimestamp64Micro(time)), toString(value)))) AS row_hash,
    version AS row_version
FROM strings FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
UNION ALL
SELECT
    toString(run) AS run,
    bitOr(bitAnd(reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(key), toString(rank), toString(step)))),
        toUInt64(18446744073709551600)), toUInt64(3)) AS key_hash,
    reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(key), toString(rank), toString(step), toString(version),
        toString(toUnixTimestamp64Micro(time)),
        arrayStringConcat(arrayMap(x -> toString(reinterpretAsUInt64(x)), edges), ','),
        arrayStringConcat(arrayMap(x -> toString(reinterpretAsUInt64(x)), counts), ',')))) AS row_hash,
    version AS row_version
FROM histograms FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
UNION ALL
SELECT
    toString(run) AS run,
    bitOr(bitAnd(reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(key), toString(rank), toString(step)))),
        toUInt64(18446744073709551600)), toUInt64(4)) AS key_hash,
    reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(key), toString(rank), toString(step), toString(version),
        toString(toUnixTimestamp64Micro(time)), arrayStringConcat(columns, '\x01'), toString(row_count),
        toString(rows), toString(plot)))) AS row_hash,
    version AS row_version
FROM tables FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
UNION ALL
SELECT
    toString(run) AS run,
    bitOr(bitAnd(reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(key), toString(rank), toString(step), toString(item)))),
        toUInt64(18446744073709551600)), toUInt64(5)) AS key_hash,
    reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(key), toString(rank), toString(step), toString(item), toString(version),
        toString(toUnixTimestamp64Micro(time)), toString(media_type), toString(sha256), toString(size_bytes),
        toString(caption), toString(metadata)))) AS row_hash,
    version AS row_version
FROM media FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
UNION ALL
SELECT
    toString(run) AS run,
    bitOr(bitAnd(reinterpretAsUInt64(SHA256(toString(path))),
        toUInt64(18446744073709551600)), toUInt64(6)) AS key_hash,
    reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(path), toString(version), toString(toUnixTimestamp64Micro(time)), toString(category),
        toString(rank), toString(media_type), toString(sha256), toString(size_bytes)))) AS row_hash,
    version AS row_version
FROM files FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
UNION ALL
SELECT
    toString(run) AS run,
    bitOr(bitAnd(reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(rank), toString(output), toString(writer), toString(line)))),
        toUInt64(18446744073709551600)), toUInt64(7)) AS key_hash,
    reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(rank), toString(output), toString(writer), toString(line), toString(version),
        toString(toUnixTimestamp64Micro(time)), toString(text)))) AS row_hash,
    version AS row_version
FROM console FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
UNION ALL
SELECT
    toString(run) AS run,
    bitOr(bitAnd(reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(writer), toString(number)))),
        toUInt64(18446744073709551600)), toUInt64(8)) AS key_hash,
    reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(writer), toString(number), toString(version), toString(toUnixTimestamp64Micro(time)),
        toString(rank), toString(level), toString(title), toString(text)))) AS row_hash,
    version AS row_version
FROM alerts FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
UNION ALL
SELECT
    toString(run) AS run,
    bitOr(bitAnd(reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(writer), toString(batch), toString(reason)))),
        toUInt64(18446744073709551600)), toUInt64(9)) AS key_hash,
    reinterpretAsUInt64(SHA256(concatWithSeparator('\0',
        toString(writer), toString(batch), toString(reason), toString(points), toString(epoch)))) AS row_hash,
    toUInt64(bitShiftLeft(toUInt64(epoch), 40)) AS row_version
FROM rejects FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
