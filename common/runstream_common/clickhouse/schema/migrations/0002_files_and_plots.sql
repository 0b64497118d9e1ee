-- How a table is drawn, and the files of a run.

ALTER TABLE tables {{on_cluster}}
    ADD COLUMN IF NOT EXISTS plot String DEFAULT '' COMMENT 'JSON: how to draw it; empty: as a table' AFTER rows
;

-- What save() and log_code() kept: the newest content of a path.
CREATE TABLE IF NOT EXISTS files {{on_cluster}}
(
    project    LowCardinality(String),
    run        LowCardinality(String),
    path       String,
    category   LowCardinality(String) COMMENT 'file | code',
    rank       UInt32,
    media_type LowCardinality(String),
    sha256     FixedString(64) COMMENT 'lower-case hex of the content, its name in object storage',
    size_bytes UInt64,
    time       DateTime64(6, 'UTC'),
    version    UInt64,
    run_month  Date
)
ENGINE = {{engine:ReplacingMergeTree(version)}}
PARTITION BY run_month
ORDER BY (project, run, path)
;

ALTER TABLE streams {{on_cluster}}
    MODIFY COLUMN helper UInt8 COMMENT 'start: 1: a forked child of the rank, whose end says nothing of the run; 2: its sender''s own'
;
