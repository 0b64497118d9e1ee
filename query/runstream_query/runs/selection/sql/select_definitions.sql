-- The definition of each metric's summary by `define_metric`: the definition with exactly this name, else the last
-- matching pattern. Names and slots are one list: for each slot the names that match its metric, in the order of
-- precedence. Parameters: project; runs (empty: all); names; slots.
SELECT run, slot, argMin(definition, place) AS text, CAST(NULL, 'Nullable(Float64)') AS number
FROM
(
    SELECT
        run,
        argMax(value, version) AS definition,
        arrayJoin(arrayFilter(i -> arrayElement({names:Array(String)}, i) = key,
                              arrayEnumerate({names:Array(String)}))) AS place,
        arrayElement({slots:Array(UInt16)}, place) AS slot
    FROM run_fields
    WHERE project = {project:String} AND section = 'definition' AND key IN {names:Array(String)}
      AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run, key
)
WHERE definition != ''
GROUP BY run, slot
