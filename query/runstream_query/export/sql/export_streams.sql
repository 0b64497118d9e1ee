-- The processes of runs, as they reported themselves. Parameters: project; runs (empty: all).
SELECT run, writer, event, rank, toUInt32(epoch) AS epoch, world_size, host, pid, user, helper, outcome, exit_code,
    points, records, dropped_points, time, received, run_created
FROM streams FINAL
WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
ORDER BY run, writer, event
