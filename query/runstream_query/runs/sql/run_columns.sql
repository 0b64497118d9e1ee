-- The documents of some runs as a table shows them, one row for each key. Of config and summary only the keys by name
-- or pattern (RE2, '' for none), unless all_config, all_summary. A value of more than `longest` bytes (0: no limit) is
-- replaced by a mark with its size.
-- Parameters: project; runs; sections (empty: all); longest; most_keys: of a section of a run; config_names,
-- config_pattern, all_config; summary_names, summary_pattern, all_summary.
SELECT
    run, section, key,
    if({longest:UInt64} > 0 AND section != 'environment' AND length(value) > {longest:UInt64},
       concat('"\\u001epieces  0 ', toString(length(value)), '"'), value) AS value
FROM run_fields FINAL
PREWHERE project = {project:String} AND run IN {runs:Array(String)}
  AND (empty({sections:Array(String)}) OR section IN {sections:Array(String)})
  AND (section != 'config' OR {all_config:UInt8} OR key IN {config_names:Array(String)}
       OR ({config_pattern:String} != '' AND match(key, {config_pattern:String})))
  AND (section != 'summary' OR {all_summary:UInt8} OR key IN {summary_names:Array(String)}
       OR ({summary_pattern:String} != '' AND match(key, {summary_pattern:String})))
WHERE deleted = 0
ORDER BY run, section, key
LIMIT {most_keys:UInt64} BY run, section
LIMIT 1000000
