-- Minimum, maximum, mean and first of metrics over all ranks and steps of the current finite values, as four slots
-- each.
-- Parameters: project; runs (empty: all); metrics.
SELECT
    toString(run) AS run,
    toUInt16(4 * (indexOf({metrics:Array(String)}, metric) - 1) + tupleElement(item, 1)) AS slot,
    toNullable(tupleElement(item, 2)) AS number
FROM
(
    SELECT
        run,
        toString(metric) AS metric,
        arrayJoin([(0, min(value)), (1, max(value)), (2, avg(value)), (3, argMin(value, (step, rank)))]) AS item
    FROM points FINAL
    WHERE project = {project:String} AND metric IN {metrics:Array(String)} AND isFinite(value)
      AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run, metric
)
