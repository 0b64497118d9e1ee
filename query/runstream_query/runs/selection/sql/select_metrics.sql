-- Last values of metrics, mean over the ranks. Comparing (step, version) as one Int128 is several times as fast as a
-- tuple. Parameters: project; runs (empty: all); metrics: one for each slot.
SELECT run, slot, avg(newest) AS number
FROM
(
    SELECT
        toString(run) AS run,
        toUInt16(indexOf({metrics:Array(String)}, toString(metric)) - 1) AS slot,
        argMax(tupleElement(last, 3), bitOr(bitShiftLeft(toInt128(tupleElement(last, 1)), 64),
                                            toInt128(tupleElement(last, 2)))) AS newest
    FROM series
    WHERE project = {project:String} AND metric IN {metrics:Array(String)}
      AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run, metric, rank
)
GROUP BY run, slot
