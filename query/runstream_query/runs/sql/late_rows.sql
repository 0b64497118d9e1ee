-- Tombstones of the last days whose runs still have deleted rows, because a writer died before it checked.
-- Parameters: since_us.
SELECT DISTINCT project, run, epoch
FROM
(
    SELECT project, run, max(epoch) AS epoch
    FROM tombstones
    WHERE metric = '' AND toUnixTimestamp64Micro(written) >= {since_us:Int64}
    GROUP BY project, run
) AS dead
INNER JOIN
(
    SELECT project, run, min(version) AS oldest
    FROM points
    WHERE (project, run) IN (SELECT project, run FROM tombstones WHERE toUnixTimestamp64Micro(written) >= {since_us:Int64})
    GROUP BY project, run
) AS found USING (project, run)
WHERE oldest < bitShiftLeft(toUInt64(epoch + 1), 40)
