-- From where to where a series reaches in a range of times: by its roll-ups, and by the points of other parts than these.
-- Parameters: project; run; metric; rank; parts; min_us, max_us; min_step, max_step.
SELECT min(low) AS low_step, max(high) AS high_step
FROM
(
    SELECT min(first_step) AS low, max(last_step) AS high
    FROM rollups
    WHERE project = {project:String} AND run = {run:String} AND metric = {metric:String} AND rank = {rank:UInt32}
      AND part IN {parts:Array(String)}
      AND earliest <= fromUnixTimestamp64Micro({max_us:Int64}) AND latest >= fromUnixTimestamp64Micro({min_us:Int64})
    HAVING count() > 0
    UNION ALL
    SELECT min(step) AS low, max(step) AS high
    FROM points
    WHERE project = {project:String} AND run = {run:String} AND metric = {metric:String} AND rank = {rank:UInt32}
      AND _part NOT IN {parts:Array(String)} AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
      AND time BETWEEN fromUnixTimestamp64Micro({min_us:Int64}) AND fromUnixTimestamp64Micro({max_us:Int64})
    HAVING count() > 0
)
HAVING count() > 0
