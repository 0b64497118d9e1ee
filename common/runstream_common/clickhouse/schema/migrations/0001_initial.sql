-- The first schema. Rendered once for a single node and once for a cluster: {{engine:X}} becomes the engine X
-- or its replicated form, {{on_cluster}} becomes nothing or ON CLUSTER '...'. Statements end with a line `;`.
--
-- Every table's state is a map: ORDER BY is the natural key, `version` = (epoch << 40 | record number) decides
-- which row of a key survives, so inserting anything again, in any order, changes no answer. Read with FINAL
-- (cheap: the engine merges only what overlaps) or the *_now views.
-- `project` is always "team/project". Partitions go by the month in which the run was first seen, which never
-- changes, so that all versions of a row meet in one partition.

-- One row a scalar point: SELECT step, value FROM points FINAL WHERE project = ... AND run = ... AND metric = 'loss'
CREATE TABLE IF NOT EXISTS points {{on_cluster}}
(
    project   LowCardinality(String),
    run       LowCardinality(String),
    metric    LowCardinality(String),
    rank      UInt32,
    step      Int64 CODEC(Delta, ZSTD(1)),
    value     Float64 CODEC(ZSTD(1)),
    time      DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when it was logged, by the client''s clock',
    version   UInt64 CODEC(Delta, ZSTD(1)),
    run_month Date CODEC(ZSTD(1)) COMMENT 'first day of the month in which the run was first seen'
)
ENGINE = {{engine:ReplacingMergeTree(version)}}
PARTITION BY run_month
ORDER BY (project, run, metric, rank, step)
;

-- One row a series: the surviving row of the highest step. `last` is (step, version, value, time): the maximum
-- of such tuples is safe under repetition and rewriting, which no sum, count, min or max of values would be.
CREATE TABLE IF NOT EXISTS series {{on_cluster}}
(
    project   LowCardinality(String),
    run       LowCardinality(String),
    metric    LowCardinality(String),
    rank      UInt32,
    last      SimpleAggregateFunction(max, Tuple(step Int64, version UInt64, value Float64, time DateTime64(6, 'UTC'))),
    run_month Date
)
ENGINE = {{engine:AggregatingMergeTree}}
PARTITION BY run_month
ORDER BY (project, run, metric, rank)
;

-- A run's document, one row a key. section: run | config | summary | definition | environment;
-- key: a dotted path; value: JSON, or empty with deleted = 1.
CREATE TABLE IF NOT EXISTS run_fields {{on_cluster}}
(
    project   LowCardinality(String),
    run       String,
    section   LowCardinality(String),
    key       String,
    value     String CODEC(ZSTD(1)),
    deleted   UInt8,
    time      DateTime64(6, 'UTC'),
    version   UInt64,
    run_month Date
)
ENGINE = {{engine:ReplacingMergeTree(version)}}
PARTITION BY run_month
ORDER BY (project, run, section, key)
;

-- What each process that writes to a run said of itself. event: start | heartbeat | finish.
CREATE TABLE IF NOT EXISTS streams {{on_cluster}}
(
    project        LowCardinality(String),
    run            String,
    writer         String,
    event          LowCardinality(String),
    rank           UInt32,
    epoch          UInt64,
    world_size     UInt32,
    host           String,
    pid            UInt64,
    user           LowCardinality(String),
    helper         UInt8 COMMENT 'start: a forked child of the rank, whose end says nothing of the run',
    outcome        LowCardinality(String) COMMENT 'finish: finished | failed | crashed | preempted',
    exit_code      Int32,
    points         UInt64 COMMENT 'finish: scalar points logged',
    records        UInt64 COMMENT 'finish: records numbered before the finish record',
    dropped_points UInt64,
    time           DateTime64(6, 'UTC'),
    run_created    DateTime64(6, 'UTC') COMMENT 'when the run was first seen by the server',
    version        UInt64,
    run_month      Date
)
ENGINE = {{engine:ReplacingMergeTree(version)}}
PARTITION BY run_month
ORDER BY (project, run, writer, event)
;

-- What has been stored, one row a batch, written after its points: with the finish event it proves completeness.
CREATE TABLE IF NOT EXISTS ledger {{on_cluster}}
(
    project      LowCardinality(String),
    run          String,
    writer       String,
    batch        UInt64,
    rank         UInt32,
    epoch        UInt64,
    first_record UInt64,
    last_record  UInt64,
    points       UInt64 COMMENT 'in the batch',
    rejected     UInt64 COMMENT 'of them, put aside: see rejects',
    checksum     UInt32 COMMENT 'CRC-32 of the batch',
    topic        LowCardinality(String),
    partition    Int32,
    offset       Int64,
    received     DateTime64(6, 'UTC'),
    written      DateTime64(6, 'UTC'),
    run_month    Date
)
ENGINE = {{engine:ReplacingMergeTree(written)}}
PARTITION BY run_month
ORDER BY (project, run, writer, batch)
;

-- What could not be stored, and why. One row a batch and reason.
CREATE TABLE IF NOT EXISTS rejects {{on_cluster}}
(
    project   LowCardinality(String),
    run       String,
    writer    String,
    batch     UInt64,
    reason    LowCardinality(String),
    points    UInt64,
    detail    String,
    written   DateTime64(6, 'UTC'),
    run_month Date
)
ENGINE = {{engine:ReplacingMergeTree(written)}}
PARTITION BY run_month
ORDER BY (project, run, writer, batch, reason)
;

CREATE TABLE IF NOT EXISTS strings {{on_cluster}}
(
    project   LowCardinality(String),
    run       LowCardinality(String),
    key       LowCardinality(String),
    rank      UInt32,
    step      Int64 CODEC(Delta, ZSTD(1)),
    value     String CODEC(ZSTD(1)),
    time      DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    version   UInt64 CODEC(Delta, ZSTD(1)),
    run_month Date
)
ENGINE = {{engine:ReplacingMergeTree(version)}}
PARTITION BY run_month
ORDER BY (project, run, key, rank, step)
;

CREATE TABLE IF NOT EXISTS histograms {{on_cluster}}
(
    project   LowCardinality(String),
    run       LowCardinality(String),
    key       LowCardinality(String),
    rank      UInt32,
    step      Int64 CODEC(Delta, ZSTD(1)),
    edges     Array(Float64) CODEC(ZSTD(1)) COMMENT 'bin edges, one more than counts',
    counts    Array(Float64) CODEC(ZSTD(1)),
    time      DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    version   UInt64 CODEC(Delta, ZSTD(1)),
    run_month Date
)
ENGINE = {{engine:ReplacingMergeTree(version)}}
PARTITION BY run_month
ORDER BY (project, run, key, rank, step)
;

CREATE TABLE IF NOT EXISTS tables {{on_cluster}}
(
    project   LowCardinality(String),
    run       LowCardinality(String),
    key       LowCardinality(String),
    rank      UInt32,
    step      Int64,
    columns   Array(String),
    row_count UInt32,
    rows      String CODEC(ZSTD(1)) COMMENT 'a JSON array of arrays',
    time      DateTime64(6, 'UTC'),
    version   UInt64,
    run_month Date
)
ENGINE = {{engine:ReplacingMergeTree(version)}}
PARTITION BY run_month
ORDER BY (project, run, key, rank, step)
;

CREATE TABLE IF NOT EXISTS media {{on_cluster}}
(
    project    LowCardinality(String),
    run        LowCardinality(String),
    key        LowCardinality(String),
    rank       UInt32,
    step       Int64,
    item       UInt32 COMMENT 'position among several under one key and step',
    media_type LowCardinality(String),
    sha256     FixedString(64) COMMENT 'lower-case hex of the content, its name in object storage',
    size_bytes UInt64,
    caption    String,
    metadata   String COMMENT 'JSON',
    time       DateTime64(6, 'UTC'),
    version    UInt64,
    run_month  Date
)
ENGINE = {{engine:ReplacingMergeTree(version)}}
PARTITION BY run_month
ORDER BY (project, run, key, rank, step, item)
;

CREATE TABLE IF NOT EXISTS console {{on_cluster}}
(
    project   LowCardinality(String),
    run       LowCardinality(String),
    rank      UInt32,
    output    LowCardinality(String) COMMENT 'stdout | stderr',
    writer    LowCardinality(String) COMMENT 'an attempt of the run counts its lines from 0',
    line      UInt64 CODEC(Delta, ZSTD(1)),
    text      String CODEC(ZSTD(1)),
    time      DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    version   UInt64 CODEC(Delta, ZSTD(1)),
    run_month Date
)
ENGINE = {{engine:ReplacingMergeTree(version)}}
PARTITION BY run_month
ORDER BY (project, run, rank, output, writer, line)
;

CREATE TABLE IF NOT EXISTS alerts {{on_cluster}}
(
    project   LowCardinality(String),
    run       LowCardinality(String),
    writer    String,
    number    UInt64,
    rank      UInt32,
    level     LowCardinality(String) COMMENT 'info | warn | error',
    title     String,
    text      String,
    time      DateTime64(6, 'UTC'),
    version   UInt64,
    run_month Date
)
ENGINE = {{engine:ReplacingMergeTree(version)}}
PARTITION BY run_month
ORDER BY (project, run, writer, number)
;
