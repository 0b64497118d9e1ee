-- Roll-ups of series that can be trusted now: of parts of `points` that exist. Two services that rolled up the same part
-- wrote the same, twice. Parameters: project; runs; metrics; ranks (empty: all).
SELECT DISTINCT run, metric, rank, part, widths, first_step, last_step
FROM rolled_series
WHERE project = {project:String} AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND part IN (SELECT name FROM system.parts WHERE database = currentDatabase() AND table = 'points' AND active)
