-- Last values of metrics, a row a rank: their mean is the run's. (step, version) as one Int128 is compared several times
-- as fast as a tuple. Parameters: project; metrics: of each slot; first: number of the first slot.
SELECT
    run,
    toUInt16({first:UInt16} + indexOf({metrics:Array(String)}, toString(metric)) - 1) AS slot,
    '' AS text,
    toNullable(argMax(tupleElement(last, 3), bitOr(bitShiftLeft(toInt128(tupleElement(last, 1)), 64),
                                                   toInt128(tupleElement(last, 2))))) AS number
FROM series
WHERE project = {project:String} AND metric IN {metrics:Array(String)}
GROUP BY run, metric, rank
