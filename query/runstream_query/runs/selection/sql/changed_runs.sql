-- The runs of a project that have rows in some parts, by table. Parameters: project; stream_parts, field_parts, series_parts,
-- point_parts; limit, per table. Only the selects of tables with such parts are asked, see `RunTables`.
SELECT 'streams' AS source, run FROM streams
WHERE project = {project:String} AND _part IN {stream_parts:Array(String)} GROUP BY run LIMIT {limit:UInt32}
UNION ALL
SELECT 'run_fields' AS source, run FROM run_fields
WHERE project = {project:String} AND _part IN {field_parts:Array(String)} GROUP BY run LIMIT {limit:UInt32}
UNION ALL
SELECT 'series' AS source, toString(run) AS run FROM series
WHERE project = {project:String} AND _part IN {series_parts:Array(String)} GROUP BY run LIMIT {limit:UInt32}
UNION ALL
SELECT 'points' AS source, toString(run) AS run FROM points
WHERE project = {project:String} AND _part IN {point_parts:Array(String)} GROUP BY run LIMIT {limit:UInt32}
