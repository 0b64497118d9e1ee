-- The metrics of some runs and their last values, mean over the ranks: by name or pattern (RE2, '' for none), or all.
-- Parameters: project; runs; metric_names; metric_pattern; all_metric; limit, for each run.
SELECT run, metric, avg(newest) AS last_value
FROM
(
    SELECT
        run,
        metric,
        argMax(tupleElement(last, 3), bitOr(bitShiftLeft(toInt128(tupleElement(last, 1)), 64),
                                            toInt128(tupleElement(last, 2)))) AS newest
    FROM series
    WHERE project = {project:String} AND run IN {runs:Array(String)}
      AND ({all_metric:UInt8} OR metric IN {metric_names:Array(String)}
           OR ({metric_pattern:String} != '' AND match(metric, {metric_pattern:String})))
    GROUP BY run, metric, rank
)
GROUP BY run, metric
ORDER BY run, metric
LIMIT {limit:UInt32} BY run
