-- Distinct points of a run. Parameters: project; run.
SELECT count() AS points
FROM points FINAL
WHERE project = {project:String} AND run = {run:String}
