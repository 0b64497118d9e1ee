-- Rows of `points` of several runs and metrics, superseded ones included: one row a series, by its name, with the columns of
-- its points as arrays, in any order, the same for all of them. Names are sent once then. Without `version`, which takes as
-- long to read as all the rest: where no step comes twice it is not needed. Parameters: project; runs; metrics; ranks
-- (empty: all); min_step, max_step; limit: rows of `points`.
SELECT run, metric, rank, groupArray(step) AS step, groupArray(value) AS value, groupArray(time_us) AS time_us
FROM
(
    SELECT run, metric, rank, step, value, toUnixTimestamp64Micro(time) AS time_us
    FROM points
    WHERE project = {project:String} AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
      AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
      AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
    LIMIT {limit:UInt32}
)
GROUP BY run, metric, rank
ORDER BY run, metric, rank
