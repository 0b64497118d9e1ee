-- Deletion that survives a replay, silence by the server's clock, and deduplication that saves work.

-- What is deleted: of a run (metric = ''), or one metric of it, everything that its attempts up to `epoch` logged or
-- still log. The writer looks here, so that what is delivered again stays deleted.
CREATE TABLE IF NOT EXISTS tombstones {{on_cluster}}
(
    project LowCardinality(String),
    run     String,
    metric  String COMMENT 'empty: the whole run',
    epoch   UInt64 COMMENT 'the last attempt that is deleted; later ones live',
    user    LowCardinality(String),
    written DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = {{engine:ReplacingMergeTree(epoch)}}
ORDER BY (project, run, metric)
;

ALTER TABLE streams {{on_cluster}}
    ADD COLUMN IF NOT EXISTS received DateTime64(6, 'UTC') DEFAULT time COMMENT 'by the gateway''s clock'
;

ALTER TABLE rejects {{on_cluster}}
    ADD COLUMN IF NOT EXISTS epoch UInt64 DEFAULT 0
;

-- The last inserts are remembered by their token and not stored twice. Nothing rests on it.
ALTER TABLE points {{on_cluster}}
    MODIFY SETTING non_replicated_deduplication_window = 1000
;

ALTER TABLE series {{on_cluster}}
    MODIFY SETTING non_replicated_deduplication_window = 1000
;
