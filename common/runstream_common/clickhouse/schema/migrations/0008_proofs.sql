-- What a batch stored, so that the rows themselves can be checked, and not only that the batch came.

-- Rows of one batch are told by their versions. A block is 32 consecutive record numbers of one process; a batch that
-- begins or ends in the middle of a block proves its piece of it. Nothing here is counted up: it belongs to the batch,
-- and a batch that is delivered again says the same.
ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS proved UInt8 DEFAULT 0 COMMENT '1: the columns below are filled; 0: from before them'
    AFTER documents
;

ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS blocks Array(UInt64) COMMENT 'version >> 5 of each block with points' AFTER proved
;

ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS block_rows Array(UInt64) COMMENT 'rows of points, a block' AFTER blocks
;

ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS block_digests Array(UInt64) COMMENT 'sum of their hashes, modulo 2^64' AFTER block_rows
;
