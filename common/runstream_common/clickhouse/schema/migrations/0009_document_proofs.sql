-- What a batch stored beside points, row by row: texts, histograms, tables, media, files, console lines, alerts, documents of
-- the run, its processes' starts and ends, and what was put aside.

-- One entry a row, in the order of both arrays: of rows with the same key the newest batch's is the one that is stored.
ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS documents_proved UInt8 DEFAULT 0
    COMMENT '1: the columns below are filled; 0: from before them' AFTER block_digests
;

ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS document_keys Array(UInt64)
    COMMENT 'hash of each row''s key; the lowest four bits: its table' AFTER documents_proved
;

ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS document_hashes Array(UInt64) COMMENT 'hash of the whole row' AFTER document_keys
;
