-- Current rows other than points and console lines in record ranges of a run: alerts, fields of its document, keys of
-- histograms, tables, media and texts.
-- Parameters: project; run; epochs, lows, highs: versions, one range for each epoch; limit.
WITH
    bitShiftRight(version, 40) AS epoch,
    version >= transform(epoch, {epochs:Array(UInt64)}, {lows:Array(UInt64)}, toUInt64(18446744073709551615))
        AND version <= transform(epoch, {epochs:Array(UInt64)}, {highs:Array(UInt64)}, toUInt64(0)) AS arrived
SELECT * FROM
(
    SELECT 'alert' AS kind, writer AS name, level AS detail, title, text, number, rank, toInt64(0) AS step,
           toUnixTimestamp64Micro(time) AS time_us
    FROM alerts FINAL WHERE project = {project:String} AND run = {run:String} AND arrived
UNION ALL
    SELECT 'field', key, section, '', value, toUInt64(deleted), toUInt32(0), toInt64(0), toInt64(0)
    FROM run_fields FINAL
    WHERE project = {project:String} AND run = {run:String} AND section NOT IN ('environment', 'replaced', 'piece') AND arrived
UNION ALL
    SELECT 'histogram', key, '', '', '', toUInt64(0), toUInt32(0), max(step), toInt64(0)
    FROM histograms FINAL WHERE project = {project:String} AND run = {run:String} AND arrived GROUP BY key
UNION ALL
    SELECT if(any(plot) = '', 'table', 'plot'), key, '', '', '', toUInt64(0), toUInt32(0), max(step), toInt64(0)
    FROM tables FINAL WHERE project = {project:String} AND run = {run:String} AND arrived GROUP BY key
UNION ALL
    SELECT 'media', key, '', '', '', toUInt64(0), toUInt32(0), max(step), toInt64(0)
    FROM media FINAL WHERE project = {project:String} AND run = {run:String} AND arrived GROUP BY key
UNION ALL
    SELECT 'text', key, '', '', '', toUInt64(0), toUInt32(0), max(step), toInt64(0)
    FROM strings FINAL WHERE project = {project:String} AND run = {run:String} AND arrived GROUP BY key
)
ORDER BY kind, name, number
LIMIT {limit:UInt32}
