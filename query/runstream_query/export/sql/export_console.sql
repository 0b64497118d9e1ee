-- Console lines of runs. Parameters: project; runs (empty: all).
SELECT run, rank, output, writer, line, text, time, toUInt32(bitShiftRight(version, 40)) AS epoch
FROM console FINAL
WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
ORDER BY run, rank, output, writer, line
