-- The number of histograms of a key at each step.
-- Parameters: project; run; key; ranks (empty: all); min_step, max_step.
SELECT step, count() AS histograms
FROM histograms FINAL
WHERE project = {project:String} AND run = {run:String} AND key = {key:String}
  AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
  AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
GROUP BY step
ORDER BY step
