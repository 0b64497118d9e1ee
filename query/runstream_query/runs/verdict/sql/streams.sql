-- The processes of runs. A process without an end that is silent since `silent_us` has crashed.
-- Parameters: project; runs; silent_us.
SELECT
    run,
    writer,
    max(rank) AS rank,
    max(epoch) AS epoch,
    anyIf(host, event = 'start') AS host,
    max(helper) AS helper,
    toUnixTimestamp64Micro(min(time)) AS started_us,
    toUnixTimestamp64Micro(max(time)) AS seen_us,
    toUnixTimestamp64Micro(maxIf(time, event = 'finish')) AS finished_us,
    anyIf(outcome, event = 'finish') AS outcome,
    countIf(event = 'finish') = 0 AND toUnixTimestamp64Micro(max(received)) < {silent_us:Int64} AS silent,
    anyIf(exit_code, event = 'finish') AS exit_code,
    anyIf(points, event = 'finish') AS points,
    anyIf(records, event = 'finish') AS records,
    anyIf(dropped_points, event = 'finish') AS dropped_points
FROM streams FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)}
GROUP BY run, writer
ORDER BY run, max(rank), max(epoch)
