-- One row for each run of a project: its writers, its times, and how its ranks ended; `run_states.py` computes the
-- state from these. For a rank its newest stream counts. `heard_us`: when the most silent open rank was last heard
-- from; if no rank is open, the run.
-- Parameters: project; runs (empty: all); limit. Newest first.
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
        max(world_size) AS world_size,
        argMin(user, epoch) AS user,
        groupUniqArrayIf(host, host != '') AS hosts,
        min(started) AS started,
        max(seen) AS seen,
        max(heard) AS heard,
        max(finished) AS finished,
        min(created) AS created
    FROM per_writer
    WHERE NOT helper
    GROUP BY run, rank
)
SELECT
    run,
    toString(argMin(user, rank)) AS user,
    toJSONString(arraySort(groupUniqArrayArray(hosts))) AS hosts,
    toUnixTimestamp64Micro(min(created)) AS created_us,
    toUnixTimestamp64Micro(min(started)) AS started_us,
    toUnixTimestamp64Micro(max(seen)) AS seen_us,
    toUnixTimestamp64Micro(max(finished)) AS finished_us,
    max(world_size) AS world_size,
    countIf(said = 'failed') AS failed,
    countIf(said = 'crashed') AS crashed,
    countIf(said = 'preempted') AS preempted,
    countIf(said = 'finished') AS ended,
    countIf(said = '') AS open,
    toUnixTimestamp64Micro(if(countIf(said = '') > 0, minIf(heard, said = ''), max(heard))) AS heard_us
FROM per_rank
GROUP BY run
ORDER BY created_us DESC, run
LIMIT {limit:UInt32}
