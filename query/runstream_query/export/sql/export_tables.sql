-- Tables and plots by step. Parameters: project; runs (empty: all).
SELECT run, key, rank, step, columns, row_count, rows, plot, time, toUInt32(bitShiftRight(version, 40)) AS epoch
FROM tables FINAL
WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
ORDER BY run, key, rank, step
