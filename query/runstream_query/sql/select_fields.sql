-- Values of some keys of runs' documents as JSON text; what is deleted is empty. Without FINAL, so that the projection
-- by key serves: the newest version of each key is the one that FINAL would leave.
-- Parameters: project; sections, keys: of each slot; first: number of the first slot.
SELECT
    run,
    toUInt16({first:UInt16} + indexOf(arrayZip({sections:Array(String)}, {keys:Array(String)}),
                                      (toString(section), key)) - 1) AS slot,
    argMax(value, version) AS text,
    CAST(NULL, 'Nullable(Float64)') AS number
FROM run_fields
WHERE project = {project:String} AND section IN {sections:Array(String)} AND key IN {keys:Array(String)}
  AND (toString(section), key) IN arrayZip({sections:Array(String)}, {keys:Array(String)})
GROUP BY run, section, key
