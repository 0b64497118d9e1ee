-- Values of some keys of runs' documents as JSON text, and as numbers; what is deleted is empty. Without FINAL, so that the
-- projection by key serves: the newest version of each key is the one that FINAL would leave.
-- The text is left out of a config's or summary's number that says the same: of a million runs most have one of their own.
-- A value of more than `longest` bytes (0: none) comes as a mark of its size.
-- Parameters: project; runs (empty: all); sections, keys: of each slot; longest.
SELECT
    run,
    slot,
    number,
    multiIf(
        ifNull(is_value AND number != 0 AND abs(number) < 9007199254740992 AND number = JSONExtractFloat(newest), 0), '',
        {longest:UInt64} > 0 AND length(newest) > {longest:UInt64},
        concat('"\\u001epieces  0 ', toString(length(newest)), '"'),
        newest) AS text
FROM
(
    SELECT
        run,
        toUInt16(indexOf(arrayZip({sections:Array(String)}, {keys:Array(String)}), (toString(section), key)) - 1) AS slot,
        argMax(value, version) AS newest,
        toFloat64OrNull(newest) AS number,
        section IN ('config', 'summary') AS is_value
    FROM run_fields
    WHERE project = {project:String} AND section IN {sections:Array(String)} AND key IN {keys:Array(String)}
      AND (toString(section), key) IN arrayZip({sections:Array(String)}, {keys:Array(String)})
      AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run, section, key
)
