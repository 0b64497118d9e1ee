-- Some keys of runs' documents before a change: the newest value of each, as JSON (empty if it is deleted), and the
-- epoch of its writer. Parameters: project; runs; sections, keys: pairs.
SELECT
    run,
    toString(section) AS section,
    key,
    argMax(value, version) AS value,
    toUInt32(bitShiftRight(max(version), 40)) AS epoch
FROM run_fields
WHERE project = {project:String} AND run IN {runs:Array(String)}
  AND section IN {sections:Array(String)} AND key IN {keys:Array(String)}
  AND (toString(section), key) IN arrayZip({sections:Array(String)}, {keys:Array(String)})
GROUP BY run, section, key
