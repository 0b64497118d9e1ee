-- References to the files of runs. Parameters: project; runs (empty: all).
SELECT run, path, category, rank, media_type, toString(sha256) AS sha256, size_bytes, time, toUInt32(bitShiftRight(version, 40)) AS epoch
FROM files FINAL
WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
ORDER BY run, path
