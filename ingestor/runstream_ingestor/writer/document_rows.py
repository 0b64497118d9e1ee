"""Turn records other than points into rows of their tables: run documents, streams, strings, histograms, ..."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from google.protobuf.json_format import MessageToDict

from runstream_common import document_proofs, limits, proofs, text
from runstream_common.bus.protocol import Origin
from runstream_common.identity import LOST, PIECE, SYSTEM_STREAM, full_project, run_month, version
from runstream_common.service.failpoints import passage
from runstream_common.times import from_us
from runstream_ingestor.writer.decode import DecodedBatch
from runstream_proto.v1 import ingest_pb2 as pb

Row = dict[str, object]
Rows = dict[str, list[Row]]
_SECTIONS = {pb.SECTION_RUN: "run", pb.SECTION_CONFIG: "config", pb.SECTION_SUMMARY: "summary"}
_OUTCOMES = {
    pb.StreamFinish.OUTCOME_FINISHED: "finished",
    pb.StreamFinish.OUTCOME_FAILED: "failed",
    pb.StreamFinish.OUTCOME_CRASHED: "crashed",
    pb.StreamFinish.OUTCOME_PREEMPTED: "preempted",
}
_OUTPUTS = {pb.ConsoleLine.OUTPUT_STDOUT: "stdout", pb.ConsoleLine.OUTPUT_STDERR: "stderr"}
_CAUSES = {
    pb.SpoolLoss.CAUSE_SPOOL_FULL: LOST + "the spool was full",
    pb.SpoolLoss.CAUSE_DAMAGED: LOST + "damaged in the spool",
    pb.SpoolLoss.CAUSE_UNFINISHED: LOST + "not finished when the process ended",
    pb.SpoolLoss.CAUSE_UNREADABLE: LOST + "could not be put on the wire by the sender",
}
_LEVELS = {pb.Alert.LEVEL_INFO: "info", pb.Alert.LEVEL_WARN: "warn", pb.Alert.LEVEL_ERROR: "error"}
_MAX_DEPTH = 32


def document_rows(decoded: DecodedBatch) -> Rows:
    """Return the rows by table. Records of kinds that cannot be stored are counted in `decoded.rejected_records`."""
    rows: Rows = defaultdict(list)
    origin = decoded.delivery.message.origin
    passage("writer.documents", origin.run)
    decoded.rejected_records, decoded.lost = {}, {}  # a flush that failed is prepared again in halves
    project = full_project(origin.team, origin.project)
    month = run_month(origin.run_created_us)
    for record in decoded.batch.records:
        # A wrong clock does not hide a run: its document, its start and its end are stored at the nearest time.
        time_us = min(max(record.time_us, limits.MIN_TIME_US), limits.MAX_TIME_US)
        common: Row = {
            "project": project,
            "run": origin.run,
            "time": from_us(time_us),
            "version": version(origin.epoch, record.number),
            "run_month": month,
        }
        for table, row in _rows_of(record, decoded):
            rows[table].append({**common, **row})
    return rows


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
    """Return one row for each reason for which a part of the batch was put aside."""
    origin = decoded.delivery.message.origin
    aside = sorted({**decoded.all_rejected(), **decoded.lost}.items())
    return [reject_row(origin, reason, points, "", written) for reason, points in aside]


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


def _rows_of(record: pb.Record, decoded: DecodedBatch) -> Iterator[tuple[str, Row]]:
    origin = decoded.delivery.message.origin
    rank = origin.rank
    match record.WhichOneof("kind"):
        case "start":
            yield from _start(record.start, decoded)
        case "field":
            field = record.field
            section = _SECTIONS.get(field.section, "run")
            if field.section == pb.SECTION_PIECE:
                yield "run_fields", {"section": PIECE, "key": field.key, "value": field.value_json, "deleted": 0}
            elif field.deleted:
                yield _field(section, field.key, None)
            else:
                yield from _leaves(section, field.key, text.parsed(field.value_json))
        case "definition":
            definition = record.definition
            yield _field(
                "definition",
                definition.name,
                {
                    "step_metric": definition.step_metric,
                    "summary": definition.summary,
                    "goal": definition.goal,
                    "hidden": definition.hidden,
                    "unit": definition.unit,
                },
            )
        case "text":
            said = record.text
            yield "strings", {"key": said.key, "rank": rank, "step": said.step, "value": said.value}
        case "histogram":
            histogram = record.histogram
            yield (
                "histograms",
                {
                    "key": histogram.key,
                    "rank": rank,
                    "step": histogram.step,
                    "edges": list(histogram.edges),
                    "counts": list(histogram.counts),
                },
            )
        case "table":
            table = record.table
            yield (
                "tables",
                {
                    "key": table.key,
                    "rank": rank,
                    "step": table.step,
                    "columns": list(table.columns),
                    "row_count": table.rows,
                    "rows": text.valid_json(table.rows_json),
                    "plot": text.valid_json(table.plot_json),
                },
            )
        case "media":
            media = record.media
            yield (
                "media",
                {
                    "key": media.key,
                    "rank": rank,
                    "step": media.step,
                    "item": media.index,
                    "media_type": media.media_type,
                    "sha256": media.sha256,
                    "size_bytes": media.size_bytes,
                    "caption": media.caption,
                    "metadata": text.valid_json(media.metadata_json),
                },
            )
        case "file":
            file = record.file
            yield (
                "files",
                {
                    "path": file.path,
                    "category": file.category,
                    "rank": rank,
                    "media_type": file.media_type,
                    "sha256": file.sha256,
                    "size_bytes": file.size_bytes,
                },
            )
        case "loss":
            _count(
                decoded.lost,
                _CAUSES.get(record.loss.cause, LOST + "for a reason of a newer sender"),
                record.loss.points,
            )
        case "console":
            line = record.console
            yield (
                "console",
                {
                    "rank": rank,
                    "output": _OUTPUTS.get(line.output, "stdout"),
                    "writer": line.stream or origin.writer_id,
                    "line": line.line,
                    "text": line.text,
                },
            )
        case "alert":
            alert = record.alert
            yield (
                "alerts",
                {
                    "writer": origin.writer_id,
                    "number": record.number,
                    "rank": rank,
                    "level": _LEVELS.get(alert.level, "info"),
                    "title": alert.title,
                    "text": alert.text,
                },
            )
        case "heartbeat":
            yield "streams", _stream(decoded, "heartbeat")
        case "finish":
            finish = record.finish
            yield (
                "streams",
                _stream(
                    decoded,
                    "finish",
                    outcome=_OUTCOMES.get(finish.outcome, "finished"),
                    exit_code=finish.exit_code,
                    points=finish.points,
                    records=finish.records,
                    dropped_points=finish.dropped_points,
                ),
            )
        case _:
            _count(decoded.rejected_records, "unknown kind of record")


def _start(start: pb.RunStart, decoded: DecodedBatch) -> Iterator[tuple[str, Row]]:
    yield (
        "streams",
        _stream(
            decoded,
            "start",
            world_size=start.world_size,
            host=start.host,
            pid=start.pid,
            helper=SYSTEM_STREAM if start.system else int(start.helper),
        ),
    )
    if decoded.delivery.message.origin.rank != 0 or not start.HasField("environment"):
        return
    for key, value in (
        ("name", start.name),
        ("notes", start.notes),
        ("tags", list(start.tags)),
        ("group", start.group),
        ("job_type", start.job_type),
        ("sweep_id", start.sweep_id),
    ):
        if value or not start.partial:
            yield _field("run", key, value)
    if start.config_json:
        config = text.parsed(start.config_json)
        for key, value in config.items() if isinstance(config, dict) else (("config", config),):
            yield from _leaves("config", key, value)
    for key, value in MessageToDict(start.environment, preserving_proto_field_name=True).items():
        # The keys are sorted: a Struct has no order, and a batch that is stored again must give the same text.
        yield _field("environment", key, value, sort_keys=True)


def _count(counts: dict[str, int], reason: str, number: int = 1) -> None:
    counts[reason] = counts.get(reason, 0) + number


def _stream(decoded: DecodedBatch, event: str, **fields: object) -> Row:
    origin = decoded.delivery.message.origin
    row: Row = {
        "writer": origin.writer_id,
        "event": event,
        "rank": origin.rank,
        "epoch": origin.epoch,
        "world_size": 0,
        "host": "",
        "pid": 0,
        "user": origin.user,
        "helper": 0,
        "outcome": "",
        "exit_code": 0,
        "points": 0,
        "records": 0,
        "dropped_points": 0,
        "run_created": from_us(origin.run_created_us),
        "received": from_us(origin.received_us),
    }
    return {**row, **fields}


def _field(section: str, key: str, value: object, *, sort_keys: bool = False) -> tuple[str, Row]:
    words = "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)
    return "run_fields", {"section": section, "key": key, "value": words, "deleted": int(value is None)}


def _leaves(section: str, key: str, value: object, depth: int = 0) -> Iterator[tuple[str, Row]]:
    """Yield one row for each leaf: nested objects become dotted keys, lists stay JSON."""
    if isinstance(value, dict) and value and depth < _MAX_DEPTH:
        for name, item in value.items():
            yield from _leaves(section, f"{key}.{name}", item, depth + 1)
    else:
        words = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        yield "run_fields", {"section": section, "key": key, "value": words, "deleted": 0}
