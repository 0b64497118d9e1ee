-- Roll-ups of series that can be trusted now: of parts of `points` that exist. Parameters: project; runs; metrics;
-- ranks (empty: all).
SELECT run, metric, rank, part, widths, first_step, last_step
FROM rolled_series FINAL
WHERE project = {project:String} AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND part IN (SELECT name FROM system.parts WHERE database = currentDatabase() AND table = 'points' AND active)
ORDER BY run, metric, rank, first_step
