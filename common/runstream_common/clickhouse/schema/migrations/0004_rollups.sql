-- Long curves in milliseconds: where each series begins, and roll-ups of the parts that hold its points.

-- The lowest step that was ever stored. A minimum over steps is as safe under repetition and rewriting as the maximum in
-- `last`. Rows from before this migration know none, and say so by the smallest number there is.
ALTER TABLE series {{on_cluster}}
    ADD COLUMN IF NOT EXISTS low SimpleAggregateFunction(min, Int64) DEFAULT -9223372036854775808 AFTER last
;

-- A part of `points` never changes: merges and deletions make new parts under new names. So what is computed of the rows
-- of one part is true for as long as a part of that name exists, whatever is delivered again or logged anew: nothing here
-- is ever counted up. One row a bucket of `width` steps of a long series, from the rows of `part` alone.
CREATE TABLE IF NOT EXISTS rollups {{on_cluster}}
(
    project    LowCardinality(String),
    run        LowCardinality(String),
    metric     LowCardinality(String),
    rank       UInt32,
    part       LowCardinality(String) COMMENT 'the part of `points` from whose rows this was computed',
    width      Int64 COMMENT 'a power of two',
    bucket     Int64 CODEC(Delta, ZSTD(1)) COMMENT 'floor(step / width)',
    first_step Int64 CODEC(Delta, ZSTD(1)),
    last_step  Int64 CODEC(Delta, ZSTD(1)),
    first      Float64 CODEC(ZSTD(1)) COMMENT 'value of the lowest step',
    last       Float64 CODEC(ZSTD(1)),
    minimum    Float64 CODEC(ZSTD(1)) COMMENT 'of the finite values, as all that follows; NaN: there is none',
    maximum    Float64 CODEC(ZSTD(1)),
    total      Float64 CODEC(ZSTD(1)),
    finite     UInt64 CODEC(ZSTD(1)) COMMENT 'how many values are finite',
    points     UInt64 CODEC(ZSTD(1)),
    earliest   DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    latest     DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    run_month  Date
)
ENGINE = {{engine:ReplacingMergeTree}}
PARTITION BY run_month
ORDER BY (project, run, metric, rank, part, width, bucket)
;

-- Which series of which part are rolled up. Written after their roll-ups.
CREATE TABLE IF NOT EXISTS rolled_series {{on_cluster}}
(
    project    LowCardinality(String),
    run        LowCardinality(String),
    metric     LowCardinality(String),
    rank       UInt32,
    part       LowCardinality(String),
    widths     Array(Int64) COMMENT 'the resolutions that there are, finest first',
    first_step Int64 COMMENT 'of the series in this part',
    last_step  Int64,
    points     UInt64,
    run_month  Date
)
ENGINE = {{engine:ReplacingMergeTree}}
PARTITION BY run_month
ORDER BY (project, run, metric, rank, part)
;

-- Parts that were looked at, also those without a long series.
CREATE TABLE IF NOT EXISTS rolled_parts {{on_cluster}}
(
    part    String,
    written DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = {{engine:ReplacingMergeTree(written)}}
ORDER BY part
;
