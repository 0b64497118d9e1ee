-- References to media by step. Parameters: project; runs (empty: all).
SELECT run, key, rank, step, item, media_type, toString(sha256) AS sha256, size_bytes, caption, metadata,
    time, toUInt32(bitShiftRight(version, 40)) AS epoch
FROM media FINAL
WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
ORDER BY run, key, rank, step, item
