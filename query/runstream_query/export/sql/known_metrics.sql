-- Names of metrics of these runs. Parameters: project; runs (empty: all); metrics (empty: all); limit.
SELECT DISTINCT metric
FROM series
WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
  AND (empty({metrics:Array(String)}) OR metric IN {metrics:Array(String)})
LIMIT {limit:UInt32}
