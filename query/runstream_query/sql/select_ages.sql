-- When the processes of each run of a project were first let in, seconds since 1970, as slot 0, a row a process. Superseded
-- rows do not matter: a run was created once. A run of which only helpers (its node's sender) have been heard is none yet.
-- Parameters: project.
SELECT run, toUInt16(0) AS slot, '' AS text, toNullable(toUnixTimestamp64Micro(min(run_created)) / 1e6) AS number
FROM streams
WHERE project = {project:String}
GROUP BY run, writer
HAVING NOT max(helper)
