-- Where the points of a run lie, without a look at versions: the keys of all rows are those of the surviving ones.
-- Parameters: project; run; metrics: names; pattern: what other names match ('' = none; both empty: all).
SELECT rank, min(step) AS first_step, max(step) AS last_step, count() AS points
FROM points
WHERE project = {project:String} AND run = {run:String}
  AND ((empty({metrics:Array(String)}) AND {pattern:String} = '')
       OR metric IN {metrics:Array(String)}
       OR ({pattern:String} != '' AND match(metric, {pattern:String})))
GROUP BY rank
ORDER BY rank
