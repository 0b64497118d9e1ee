-- Where each metric first was NaN or infinite: the lowest step, there the earliest by its clock, then the lowest rank.
-- Parameters: project; run; metrics (empty: all).
SELECT
    metric,
    min((step, time, rank, value)) AS earliest,
    tupleElement(earliest, 1) AS first_step,
    toUnixTimestamp64Micro(tupleElement(earliest, 2)) AS first_us,
    tupleElement(earliest, 3) AS first_rank,
    tupleElement(earliest, 4) AS first_value,
    count() AS points,
    uniqExact(rank) AS ranks
FROM points FINAL
WHERE project = {project:String} AND run = {run:String}
  AND (empty({metrics:Array(String)}) OR metric IN {metrics:Array(String)})
  AND NOT isFinite(value)
GROUP BY metric
ORDER BY first_step, metric
