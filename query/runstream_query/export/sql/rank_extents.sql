-- The ranges of a run's points, without regard to versions: superseded rows have the same keys as current ones.
-- Parameters: project; run; metrics: names; pattern of further names ('' = none; both empty: all).
SELECT rank, min(step) AS first_step, max(step) AS last_step, count() AS points
FROM points
WHERE project = {project:String} AND run = {run:String}
  AND ((empty({metrics:Array(String)}) AND {pattern:String} = '')
       OR metric IN {metrics:Array(String)}
       OR ({pattern:String} != '' AND match(metric, {pattern:String})))
GROUP BY rank
ORDER BY rank
