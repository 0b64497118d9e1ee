-- Which rows of `points` lost to a newer one of the same metric, rank and step, row by row: the engine forgets them when it
-- merges, and what is left of a run is provable only with them. And `runs_now` says the state that the API says.

-- One row a batch that met other rows of its steps, written before its points are: the versions and hashes of the rows that
-- lost, in the order of both arrays, the batch's own among them. It holds where the batch is in the ledger. What a batch
-- notes is kept beside what it noted before: of a batch that comes again the rows that it replaced are gone.
CREATE TABLE IF NOT EXISTS replaced_points {{on_cluster}}
(
    project   LowCardinality(String),
    run       String,
    writer    String,
    batch     UInt64,
    note      UInt64 COMMENT 'hash of both arrays: the same said again is one row',
    epoch     UInt64 COMMENT 'of the batch',
    versions  Array(UInt64) CODEC(Delta, ZSTD(1)),
    hashes    Array(UInt64) COMMENT 'as in the digests of the ledger',
    written   DateTime64(6, 'UTC'),
    run_month Date
)
ENGINE = {{engine:ReplacingMergeTree(written)}}
PARTITION BY run_month
ORDER BY (project, run, writer, batch, note)
;

-- One row a run, with the state that the API says: a rank whose newest process is silent for 300 s and said no goodbye has
-- crashed; ranks that never reported are waited for as long after the last sign of life of the others.
CREATE OR REPLACE VIEW runs_now {{on_cluster}} AS
WITH
per_writer AS
(
    SELECT
        project,
        run,
        writer,
        max(rank) AS writer_rank,
        max(epoch) AS writer_epoch,
        max(helper) AS writer_helper,
        max(world_size) AS writer_world,
        anyIf(user, user != '') AS writer_user,
        min(time) AS writer_started,
        max(time) AS writer_seen,
        max(received) AS writer_heard,
        maxIf(time, event = 'finish') AS writer_finished,
        anyIf(outcome, event = 'finish') AS writer_outcome,
        min(run_created) AS writer_created
    FROM streams FINAL
    GROUP BY project, run, writer
),
per_rank AS
(
    SELECT
        project,
        run,
        writer_rank,
        if(argMax(writer_outcome, writer_epoch) = '' AND max(writer_heard) < now64(6) - INTERVAL 300 SECOND,
            'crashed', argMax(writer_outcome, writer_epoch)) AS rank_outcome,
        max(writer_world) AS rank_world,
        argMin(writer_user, writer_epoch) AS rank_user,
        min(writer_started) AS rank_started,
        max(writer_seen) AS rank_seen,
        max(writer_finished) AS rank_finished,
        max(writer_heard) AS rank_heard,
        min(writer_created) AS rank_created
    FROM per_writer
    -- In place of WHERE writer_helper = 0: beside the filter by team, which nothing may be merged with, a condition on
    -- the view's project would stop at a WHERE, and all runs of the team would be read.
    ARRAY JOIN if(writer_helper = 0, [1], []) AS is_rank
    GROUP BY project, run, writer_rank
),
per_run AS
(
    SELECT
        project,
        run,
        argMin(rank_user, writer_rank) AS user,
        min(rank_created) AS created,
        min(rank_started) AS started,
        max(rank_seen) AS seen,
        max(rank_finished) AS finished,
        max(rank_world) AS world_size,
        multiIf(
            countIf(rank_outcome = 'failed') > 0, 'failed',
            countIf(rank_outcome = 'crashed') > 0, 'crashed',
            countIf(rank_outcome = 'preempted') > 0, 'preempted',
            countIf(rank_outcome = 'finished') >= max(rank_world)
                OR (countIf(rank_outcome = '') = 0 AND max(rank_heard) < now64(6) - INTERVAL 300 SECOND), 'finished',
            'running') AS state
    FROM per_rank
    GROUP BY project, run
),
documents AS
(
    SELECT
        project,
        run,
        anyIf(text, section = 'run' AND key = 'name') AS name,
        anyIf(text, section = 'run' AND key = 'notes') AS notes,
        JSONExtract(anyIf(value, section = 'run' AND key = 'tags'), 'Array(String)') AS tags,
        anyIf(text, section = 'run' AND key = 'group') AS run_group,
        anyIf(text, section = 'run' AND key = 'job_type') AS job_type,
        anyIf(text, section = 'run' AND key = 'sweep_id') AS sweep_id,
        mapFromArrays(groupArrayIf(key, section = 'config'), groupArrayIf(text, section = 'config')) AS config,
        mapFromArrays(
            groupArrayIf(key, section = 'summary' AND isNotNull(number)),
            groupArrayIf(assumeNotNull(number), section = 'summary' AND isNotNull(number))) AS said
    FROM
    (
        SELECT
            project,
            run,
            section,
            key,
            value,
            if(JSONType(value) = 'String', JSONExtractString(value), value) AS text,
            toFloat64OrNull(text) AS number
        FROM run_fields FINAL
        WHERE section IN ('run', 'config', 'summary') AND deleted = 0
    )
    GROUP BY project, run
),
ends AS
(
    SELECT project, run, mapFromArrays(groupArray(CAST(metric AS String)), groupArray(last_value)) AS metrics
    FROM
    (
        SELECT project, run, metric, avg(tupleElement(newest, 3)) AS last_value
        FROM
        (
            SELECT toString(project) AS project, toString(run) AS run, metric, rank, max(last) AS newest
            FROM series
            GROUP BY project, run, metric, rank
        )
        GROUP BY project, run, metric
    )
    GROUP BY project, run
)
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(per_run.project AS String) AS project,
    per_run.run AS run,
    if(documents.name = '', per_run.run, documents.name) AS name,
    per_run.state AS state,
    CAST(per_run.user AS String) AS user,
    documents.notes AS notes,
    documents.tags AS tags,
    documents.run_group AS run_group,
    documents.job_type AS job_type,
    documents.sweep_id AS sweep_id,
    per_run.world_size AS world_size,
    per_run.created AS created,
    per_run.started AS started,
    per_run.seen AS last_seen,
    if(per_run.state = 'running', NULL, if(per_run.finished > per_run.started, per_run.finished, per_run.seen)) AS ended,
    greatest(dateDiff('millisecond', per_run.started, ifNull(ended, per_run.seen)), 0) / 1000 AS duration_s,
    documents.config AS config,
    mapUpdate(ends.metrics, documents.said) AS summary
FROM per_run
LEFT JOIN documents ON documents.project = per_run.project AND documents.run = per_run.run
LEFT JOIN ends ON ends.project = per_run.project AND ends.run = per_run.run
;
