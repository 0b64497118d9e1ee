-- Curves of groups of runs, in buckets of `width` steps that all share. In each bucket a run counts once, with the mean of its
-- finite points (the ranks' points averaged at each step first); minimum and maximum are of single points.
-- `grid` makes every step positive. Parameters: project; runs, each with the number of its group; metrics; min_step,
-- max_step; width; grid.
SELECT
    number,
    metric,
    bucket,
    min(low_step) AS first_step,
    avgIf(own, isFinite(own)) AS mean,
    stddevPopIf(own, isFinite(own)) AS std,
    if(countIf(isFinite(low)) = 0, nan, minIf(low, isFinite(low))) AS minimum,
    if(countIf(isFinite(high)) = 0, nan, maxIf(high, isFinite(high))) AS maximum,
    countIf(isFinite(own)) AS runs_here
FROM
(
    SELECT
        transform(run, {runs:Array(String)}, {groups:Array(UInt16)}, toUInt16(0)) AS number,
        run,
        metric,
        intDiv(step + {grid:Int64}, {width:Int64}) AS bucket,
        min(step) AS low_step,
        avgIf(across, isFinite(across)) AS own,
        if(countIf(isFinite(low_rank)) = 0, nan, minIf(low_rank, isFinite(low_rank))) AS low,
        if(countIf(isFinite(high_rank)) = 0, nan, maxIf(high_rank, isFinite(high_rank))) AS high
    FROM
    (
        SELECT
            run,
            metric,
            step,
            if(count() = 1, any(value), avgIf(value, isFinite(value))) AS across,
            if(countIf(isFinite(value)) = 0, nan, minIf(value, isFinite(value))) AS low_rank,
            if(countIf(isFinite(value)) = 0, nan, maxIf(value, isFinite(value))) AS high_rank
        FROM points FINAL
        PREWHERE project = {project:String} AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
          AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
        GROUP BY run, metric, step
    )
    GROUP BY run, metric, bucket
)
GROUP BY number, metric, bucket
ORDER BY number, metric, bucket
