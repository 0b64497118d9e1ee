"""Make the rows of the ledger and of `rejects`: what is stored of a batch, and what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from runstream_common import document_proofs, proofs
from runstream_common.bus.protocol import Origin
from runstream_common.identity import full_project, run_month
from runstream_common.times import from_us
from runstream_ingestor.writer.decode import DecodedBatch
from runstream_ingestor.writer.document_rows import Row


def ledger_row(decoded: DecodedBatch, rows: Mapping[str, Sequence[Row]], written: datetime) -> Row:
    """Return the ledger's row about what is stored of a batch. `rows`: its rows other than points, by table."""
    message, position, batch = decoded.delivery.message, decoded.delivery.position, decoded.batch
    origin = message.origin
    return {
        "project": full_project(origin.team, origin.project),
        "run": origin.run,
        "writer": origin.writer_id,
        "batch": origin.batch_number,
        "rank": origin.rank,
        "epoch": origin.epoch,
        "first_record": batch.first_record,
        "last_record": batch.last_record,
        "points": batch.points,
        "rejected": sum(decoded.all_rejected().values()),
        # This says where the points lie, so that a query for new points finds them by the primary key.
        "low_step": min((int(block.steps.min()) for block in decoded.blocks), default=0),
        "high_step": max((int(block.steps.max()) for block in decoded.blocks), default=0),
        "documents": len(batch.records),
        **_proof(decoded),
        **_document_proof(rows),
        "checksum": origin.checksum,
        "topic": position.topic,
        "partition": position.partition,
        "offset": position.offset,
        "received": from_us(origin.received_us),
        "written": written,
        "run_month": run_month(origin.run_created_us),
    }


def _proof(decoded: DecodedBatch) -> Row:
    """Return, for each block of records, the number of stored points and their digest."""
    found = []
    for one in decoded.blocks:
        hashes = proofs.row_hashes(one.keys, one.origin.rank, one.steps, one.times_us, one.versions, one.values)
        found.append((one.versions, hashes))
    blocks = proofs.block_sums(found)
    return {
        "proved": proofs.EXACT,
        "blocks": [block for block, _, _ in blocks],
        "block_rows": [rows for _, rows, _ in blocks],
        "block_digests": [digest for _, _, digest in blocks],
    }


def _document_proof(rows: Mapping[str, Sequence[Row]]) -> Row:
    """Return the hashes of the rows other than points: for each key those of its newest row."""
    found = document_proofs.entries(rows)
    return {"documents_proved": 1, "document_keys": list(found), "document_hashes": list(found.values())}


def reject_rows(decoded: DecodedBatch, written: datetime) -> list[Row]:
    """Return one row for each reason for which a part of the batch was rejected or lost."""
    origin = decoded.delivery.message.origin
    reasons = sorted({**decoded.all_rejected(), **decoded.lost}.items())
    return [reject_row(origin, reason, points, "", written) for reason, points in reasons]


def reject_row(origin: Origin, reason: str, points: int, detail: str, written: datetime) -> Row:
    return {
        "project": full_project(origin.team, origin.project),
        "run": origin.run,
        "writer": origin.writer_id,
        "batch": origin.batch_number,
        "reason": reason,
        "points": points,
        "detail": detail[:1024],
        "epoch": origin.epoch,
        "written": written,
        "run_month": run_month(origin.run_created_us),
    }
