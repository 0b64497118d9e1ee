-- Contents in object storage that the rows of these runs refer to: media, files, masks of images, large tables.
-- Parameters: project; runs (empty: all).
SELECT DISTINCT sha256 FROM
(
    SELECT toString(sha256) AS sha256 FROM media FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    UNION ALL
    SELECT arrayJoin(extractAll(metadata, '"sha256": ?"([0-9a-f]{64})"')) FROM media FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
      AND metadata LIKE '%sha256%'
    UNION ALL
    SELECT toString(sha256) FROM files FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    UNION ALL
    SELECT arrayJoin(extractAll(rows, '"sha256": ?"([0-9a-f]{64})"')) FROM tables FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
      AND rows LIKE '%sha256%'
)
ORDER BY sha256
