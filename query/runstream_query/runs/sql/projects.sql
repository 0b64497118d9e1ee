-- Runs and last activity of each project. Parameters: projects, as team/project.
SELECT project, uniqExact(run) AS runs, toUnixTimestamp64Micro(max(time)) AS last_us
FROM streams
WHERE project IN {projects:Array(String)}
GROUP BY project
