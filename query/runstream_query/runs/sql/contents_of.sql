-- Contents in object storage that rows of these runs refer to: media, files, masks of images, large tables.
-- Parameters: project; runs (empty: all of the project's); contents (empty: all).
SELECT DISTINCT sha256 FROM
(
    SELECT toString(sha256) AS sha256 FROM media
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    UNION ALL
    SELECT arrayJoin(extractAll(metadata, '"sha256": ?"([0-9a-f]{64})"')) FROM media
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
      AND metadata LIKE '%sha256%'
    UNION ALL
    SELECT toString(sha256) FROM files
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    UNION ALL
    SELECT arrayJoin(extractAll(rows, '"sha256": ?"([0-9a-f]{64})"')) FROM tables
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
      AND rows LIKE '%sha256%'
)
WHERE empty({contents:Array(String)}) OR sha256 IN {contents:Array(String)}
