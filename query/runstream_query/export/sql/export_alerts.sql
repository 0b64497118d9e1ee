-- Alerts of runs. Parameters: project; runs (empty: all).
SELECT run, writer, number, rank, level, title, text, time, toUInt32(bitShiftRight(version, 40)) AS epoch
FROM alerts FINAL
WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
ORDER BY run, writer, number
