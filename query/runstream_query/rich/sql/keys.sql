-- What a run logged beyond scalars, one row a key and kind. Parameters: project; run; kinds (empty: all); only: keys (empty: all); search ('' =
-- all); after_key, after_kind: the last of the page before ('' = none); limit.
WITH logged AS
(
    SELECT key, 'histogram' AS kind, '' AS type, rank, step
    FROM histograms FINAL WHERE project = {project:String} AND run = {run:String}
    UNION ALL
    SELECT key, if(plot = '', 'table', 'plot') AS kind, JSONExtractString(plot, 'type') AS type, rank, step
    FROM tables FINAL WHERE project = {project:String} AND run = {run:String}
    UNION ALL
    SELECT key, 'media' AS kind, media_type AS type, rank, step
    FROM media FINAL WHERE project = {project:String} AND run = {run:String}
    UNION ALL
    SELECT key, 'text' AS kind, '' AS type, rank, step
    FROM strings FINAL WHERE project = {project:String} AND run = {run:String}
)
SELECT
    key,
    kind,
    min(step) AS first_step,
    max(step) AS last_step,
    count() AS stored,
    arraySort(groupUniqArray(1024)(rank)) AS ranks,
    arraySort(groupUniqArrayIf(20)(toString(type), type != '')) AS types
FROM logged
WHERE (empty({kinds:Array(String)}) OR kind IN {kinds:Array(String)})
  AND (empty({only:Array(String)}) OR key IN {only:Array(String)})
  AND ({search:String} = '' OR positionCaseInsensitiveUTF8(key, {search:String}) > 0)
  AND ({after_key:String} = '' OR (key, kind) > ({after_key:String}, {after_kind:String}))
GROUP BY key, kind
ORDER BY key, kind
LIMIT {limit:UInt32}
