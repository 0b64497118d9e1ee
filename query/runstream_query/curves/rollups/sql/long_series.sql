-- The series of a part that have so many points in it. Parameters: part; min_points.
SELECT
    project,
    run,
    metric,
    rank,
    count() AS points,
    min(step) AS first_step,
    max(step) AS last_step,
    any(run_month) AS month
FROM points
WHERE _part = {part:String}
GROUP BY project, run, metric, rank
HAVING points >= {min_points:UInt64}
ORDER BY project, run, metric, rank
