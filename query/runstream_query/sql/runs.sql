-- One row a run of a project: who wrote to it, when, and the state that follows from its ranks' newest streams.
-- A rank whose newest stream has no outcome, and of which the server has heard nothing since `silent_us`, has crashed.
-- Parameters: project; runs (empty: all); limit; silent_us. Newest first.
WITH
per_writer AS
(
    SELECT
        run,
        writer,
        max(rank) AS rank,
        max(epoch) AS epoch,
        max(helper) AS helper,
        max(world_size) AS world_size,
        anyIf(user, user != '') AS user,
        anyIf(host, host != '') AS host,
        min(time) AS started,
        max(time) AS seen,
        max(received) AS heard,
        maxIf(time, event = 'finish') AS finished,
        anyIf(outcome, event = 'finish') AS outcome,
        min(run_created) AS created
    FROM streams FINAL
    PREWHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run, writer
),
per_rank AS
(
    SELECT
        run,
        rank,
        argMax(outcome, epoch) AS said,
        if(said = '' AND toUnixTimestamp64Micro(max(heard)) < {silent_us:Int64}, 'crashed', said) AS outcome,
        max(world_size) AS world_size,
        argMin(user, epoch) AS user,
        groupUniqArrayIf(host, host != '') AS hosts,
        min(started) AS started,
        max(seen) AS seen,
        max(finished) AS finished,
        min(created) AS created
    FROM per_writer
    WHERE NOT helper
    GROUP BY run, rank
),
per_run AS
(
    SELECT
        run,
        argMin(user, rank) AS user,
        arraySort(groupUniqArrayArray(hosts)) AS hosts,
        min(created) AS created,
        min(started) AS started,
        max(seen) AS seen,
        max(finished) AS finished,
        max(world_size) AS world_size,
        multiIf(
            countIf(outcome = 'failed') > 0, 'failed',
            countIf(outcome = 'crashed') > 0, 'crashed',
            countIf(outcome = 'preempted') > 0, 'preempted',
            countIf(outcome = 'finished') >= max(world_size), 'finished',
            'running') AS state
    FROM per_rank
    GROUP BY run
)
SELECT
    run,
    user,
    hosts,
    toUnixTimestamp64Micro(created) AS created_us,
    toUnixTimestamp64Micro(started) AS started_us,
    toUnixTimestamp64Micro(seen) AS seen_us,
    toUnixTimestamp64Micro(finished) AS finished_us,
    world_size,
    state
FROM per_run
ORDER BY created_us DESC, run
LIMIT {limit:UInt32}
