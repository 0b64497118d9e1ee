-- When each run of a project was first seen, seconds since 1970, as slot 0. Superseded rows do not matter: a process's
-- run was created once. A run of which only helpers (its node's sender) have been heard is none yet.
-- Parameters: project.
SELECT run, toUInt16(0) AS slot, '' AS text, toNullable(min(created) / 1e6) AS number
FROM
(
    SELECT run, toUnixTimestamp64Micro(min(run_created)) AS created
    FROM streams
    WHERE project = {project:String}
    GROUP BY run, writer
    HAVING NOT max(helper)
)
GROUP BY run
