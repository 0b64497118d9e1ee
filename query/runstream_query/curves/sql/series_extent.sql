-- From where to where each series reaches, over its ranks. `low_step` is the smallest Int64 there is where it is not known.
-- One level of aggregation: planning takes longer than reading. Parameters: project; runs; metrics; ranks (empty: all).
SELECT run, metric, uniqExact(rank) AS ranks, min(low) AS low_step, max(tupleElement(last, 1)) AS high_step
FROM series
WHERE project = {project:String} AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
GROUP BY run, metric
