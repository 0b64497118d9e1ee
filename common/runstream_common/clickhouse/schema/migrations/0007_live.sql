-- What has just arrived, found without reading what was there: the ledger says when a batch was stored, and where in a
-- run's steps its points lie.

-- Lowest and highest step of a batch's points: with them the primary key leads to its points, in milliseconds also in a
-- series of ten million. Batches from before this migration could be anywhere.
ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS low_step Int64 DEFAULT -9223372036854775808 COMMENT 'of its points' AFTER rejected
;

ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS high_step Int64 DEFAULT 9223372036854775807 COMMENT 'of its points' AFTER low_step
;

ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS documents UInt64 DEFAULT 1 COMMENT 'records that are no rows of points' AFTER high_step
;

-- By ClickHouse's clock, at the insert: `written` is the writer's, and older when the insert was repeated. What was
-- stored before this migration keeps `written`, and is told by its unknown steps.
ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS stored DateTime64(6, 'UTC')
    DEFAULT if(high_step = 9223372036854775807, written, now64(6)) COMMENT 'by ClickHouse''s clock' AFTER written
;

-- In key order a granule holds batches of one time: the newest are found among any number.
ALTER TABLE ledger {{on_cluster}}
    ADD INDEX IF NOT EXISTS stored_range stored TYPE minmax GRANULARITY 1
;

ALTER TABLE console {{on_cluster}}
    ADD INDEX IF NOT EXISTS version_range version TYPE minmax GRANULARITY 1
;
