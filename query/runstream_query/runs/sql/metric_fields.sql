-- The metrics of a project, with the number of runs that have them.
-- Parameters: project; search ('': all); pattern (RE2, '': all); after: the last name of the previous page; limit.
SELECT metric AS key, uniqExact(run) AS runs, max(tupleElement(last, 1)) AS last_step
FROM series
WHERE project = {project:String}
  AND ({search:String} = '' OR positionCaseInsensitiveUTF8(metric, {search:String}) > 0)
  AND match(metric, {pattern:String})
  AND ({after:String} = '' OR metric > {after:String})
GROUP BY metric
ORDER BY metric
LIMIT {limit:UInt32}
