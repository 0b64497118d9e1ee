-- Views for people, Grafana and programs: what survives of each table, without versions, and runs with what was said of
-- them. docs/sql.md describes each column. `project` is team/project: a condition on it reads little.
-- No column is of LowCardinality: functions on one are computed on its part's whole dictionary, in which are values of
-- rows that the one who asks may not see (base58Decode(run): Invalid value (their-run)). The primary key is still used.

-- One row a scalar point.
CREATE OR REPLACE VIEW points_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    CAST(run AS String) AS run,
    CAST(metric AS String) AS metric,
    rank,
    step,
    value,
    time
FROM points FINAL
;

-- One row a series: where it ends.
CREATE OR REPLACE VIEW series_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    CAST(run AS String) AS run,
    CAST(metric AS String) AS metric,
    rank,
    tupleElement(newest, 1) AS last_step,
    tupleElement(newest, 3) AS last_value,
    tupleElement(newest, 4) AS last_time
FROM
(
    SELECT project, run, metric, rank, max(last) AS newest
    FROM series
    GROUP BY project, run, metric, rank
)
;

-- One row a metric of a run: its last value, mean over the ranks.
CREATE OR REPLACE VIEW metrics_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    CAST(run AS String) AS run,
    CAST(metric AS String) AS metric,
    count() AS ranks,
    max(tupleElement(newest, 1)) AS last_step,
    avg(tupleElement(newest, 3)) AS last_value,
    max(tupleElement(newest, 4)) AS last_time
FROM
(
    SELECT project, run, metric, rank, max(last) AS newest
    FROM series
    GROUP BY project, run, metric, rank
)
GROUP BY project, run, metric
;

-- One row a key of a run's config.
CREATE OR REPLACE VIEW config_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    run,
    key,
    if(JSONType(value) = 'String', JSONExtractString(value), value) AS text,
    toFloat64OrNull(text) AS number
FROM run_fields FINAL
WHERE section = 'config' AND deleted = 0
;

-- One row a key of a run's summary: the last value of each metric, overlaid by what the run set itself.
CREATE OR REPLACE VIEW summary_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    run,
    key,
    tupleElement(argMax((words, amount), was_set), 1) AS text,
    tupleElement(argMax((words, amount), was_set), 2) AS number
FROM
(
    SELECT project, run, metric AS key, toString(last_value) AS words, toNullable(last_value) AS amount, 0 AS was_set
    FROM
    (
        SELECT project, run, metric, avg(tupleElement(newest, 3)) AS last_value
        FROM
        (
            SELECT project, run, metric, rank, max(last) AS newest
            FROM series
            GROUP BY project, run, metric, rank
        )
        GROUP BY project, run, metric
    )
    UNION ALL
    SELECT
        project,
        run,
        key,
        if(JSONType(value) = 'String', JSONExtractString(value), value) AS words,
        toFloat64OrNull(words) AS amount,
        1 AS was_set
    FROM run_fields FINAL
    WHERE section = 'summary' AND deleted = 0
)
GROUP BY project, run, key
;

-- One row a process that wrote to a run. One that is silent for 300 s and said no goodbye has crashed.
CREATE OR REPLACE VIEW streams_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    run,
    writer,
    max(rank) AS rank,
    max(epoch) AS attempt,
    multiIf(max(helper) = 0, 'rank', max(helper) = 1, 'forked', 'system') AS kind,
    anyIf(host, event = 'start') AS host,
    anyIf(user, user != '') AS user,
    multiIf(
        countIf(event = 'finish') > 0, anyIf(outcome, event = 'finish'),
        max(received) < now64(6) - INTERVAL 300 SECOND, 'crashed',
        'running') AS state,
    min(time) AS started,
    max(time) AS last_seen,
    maxOrNullIf(time, event = 'finish') AS finished,
    anyIf(exit_code, event = 'finish') AS exit_code,
    anyIf(points, event = 'finish') AS points,
    anyIf(dropped_points, event = 'finish') AS dropped_points
FROM streams FINAL
GROUP BY project, run, writer
;

-- One row a run. A rank whose newest process is silent for 300 s and said no goodbye has crashed.
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
        any(rank_user) AS user,
        min(rank_created) AS created,
        min(rank_started) AS started,
        max(rank_seen) AS seen,
        max(rank_finished) AS finished,
        max(rank_world) AS world_size,
        multiIf(
            countIf(rank_outcome = 'failed') > 0, 'failed',
            countIf(rank_outcome = 'crashed') > 0, 'crashed',
            countIf(rank_outcome = 'preempted') > 0, 'preempted',
            countIf(rank_outcome = 'finished') >= max(rank_world), 'finished',
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

-- One row a text that was logged.
CREATE OR REPLACE VIEW strings_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    CAST(run AS String) AS run,
    CAST(key AS String) AS key,
    rank,
    step,
    value,
    time
FROM strings FINAL
;

-- One row a histogram.
CREATE OR REPLACE VIEW histograms_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    CAST(run AS String) AS run,
    CAST(key AS String) AS key,
    rank,
    step,
    edges,
    counts,
    time
FROM histograms FINAL
;

-- One row a table that was logged.
CREATE OR REPLACE VIEW tables_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    CAST(run AS String) AS run,
    CAST(key AS String) AS key,
    rank,
    step,
    columns,
    row_count,
    rows,
    plot,
    time
FROM tables FINAL
;

-- One row an image, audio, video or other content; the content itself is in object storage.
CREATE OR REPLACE VIEW media_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    CAST(run AS String) AS run,
    CAST(key AS String) AS key,
    rank,
    step,
    item,
    CAST(media_type AS String) AS media_type,
    toString(sha256) AS sha256,
    size_bytes,
    caption,
    metadata,
    time
FROM media FINAL
;

-- One row a file of a run: its newest content.
CREATE OR REPLACE VIEW files_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    CAST(run AS String) AS run,
    path,
    CAST(category AS String) AS category,
    rank,
    CAST(media_type AS String) AS media_type,
    toString(sha256) AS sha256,
    size_bytes,
    time
FROM files FINAL
;

-- One row a line that a process printed.
CREATE OR REPLACE VIEW console_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    CAST(run AS String) AS run,
    rank,
    CAST(output AS String) AS output,
    CAST(writer AS String) AS writer,
    line,
    text,
    time
FROM console FINAL
;

-- One row an alert.
CREATE OR REPLACE VIEW alerts_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    CAST(run AS String) AS run,
    rank,
    CAST(level AS String) AS level,
    title,
    text,
    time
FROM alerts FINAL
;

-- One row a stored batch.
CREATE OR REPLACE VIEW ledger_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    run,
    writer,
    batch,
    rank,
    epoch AS attempt,
    first_record,
    last_record,
    points,
    rejected,
    received,
    written
FROM ledger FINAL
;

-- One row a batch and reason for which something of it was put aside.
CREATE OR REPLACE VIEW rejects_now {{on_cluster}} AS
SELECT
    substringIndex(project, '/', 1) AS team,
    substring(project, position(project, '/') + 1) AS project_name,
    CAST(project AS String) AS project,
    run,
    writer,
    batch,
    epoch AS attempt,
    CAST(reason AS String) AS reason,
    points,
    detail,
    written
FROM rejects FINAL
;
