-- The last point of each series. Parameters: project; runs (empty: all).
SELECT run, metric, rank, tupleElement(last, 1) AS step, tupleElement(last, 3) AS value, tupleElement(last, 4) AS time
FROM series FINAL
WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
ORDER BY run, metric, rank
