-- Histograms by step. Parameters: project; runs (empty: all).
SELECT run, key, rank, step, edges, counts, time, toUInt32(bitShiftRight(version, 40)) AS epoch
FROM histograms FINAL
WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
ORDER BY run, key, rank, step
