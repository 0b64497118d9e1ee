"""Turn records other than points into rows of their tables: run documents, streams, strings, histograms, ..."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from google.protobuf.json_format import MessageToDict

from runstream_common import limits, text
from runstream_common.identity import LOST, PIECE, SYSTEM_STREAM, full_project, run_month, version
from runstream_common.service.failpoints import passage
from runstream_common.times import from_us
from runstream_ingestor.writer.decode import DecodedBatch
from runstream_proto.v1 import ingest_pb2 as pb

Row = dict[str, object]
Rows = dict[str, list[Row]]
_Rows = Iterable[tuple[str, Row]]
"""Rows, each with the name of its table."""
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


def _rows_of(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    """Return the rows of a record, each with its table."""
    return _BY_KIND.get(record.WhichOneof("kind") or "", _unknown)(record, decoded)


def _field(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    field = record.field
    section = _SECTIONS.get(field.section, "run")
    if field.section == pb.SECTION_PIECE:
        return (("run_fields", {"section": PIECE, "key": field.key, "value": field.value_json, "deleted": 0}),)
    if field.deleted:
        return (_field_row(section, field.key, None),)
    return _leaves(section, field.key, text.parsed(field.value_json))


def _definition(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    definition = record.definition
    value = {
        "step_metric": definition.step_metric,
        "summary": definition.summary,
        "goal": definition.goal,
        "hidden": definition.hidden,
        "unit": definition.unit,
    }
    return (_field_row("definition", definition.name, value),)


def _text(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    logged = record.text
    return (("strings", {"key": logged.key, "rank": _rank(decoded), "step": logged.step, "value": logged.value}),)


def _histogram(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    histogram = record.histogram
    row: Row = {
        "key": histogram.key,
        "rank": _rank(decoded),
        "step": histogram.step,
        "edges": list(histogram.edges),
        "counts": list(histogram.counts),
    }
    return (("histograms", row),)


def _table(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    table = record.table
    row: Row = {
        "key": table.key,
        "rank": _rank(decoded),
        "step": table.step,
        "columns": list(table.columns),
        "row_count": table.rows,
        "rows": text.valid_json(table.rows_json),
        "plot": text.valid_json(table.plot_json),
    }
    return (("tables", row),)


def _media(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    media = record.media
    row: Row = {
        "key": media.key,
        "rank": _rank(decoded),
        "step": media.step,
        "item": media.index,
        "media_type": media.media_type,
        "sha256": media.sha256,
        "size_bytes": media.size_bytes,
        "caption": media.caption,
        "metadata": text.valid_json(media.metadata_json),
    }
    return (("media", row),)


def _file(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    file = record.file
    row: Row = {
        "path": file.path,
        "category": file.category,
        "rank": _rank(decoded),
        "media_type": file.media_type,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
    }
    return (("files", row),)


def _loss(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    """Count lost points. They have no row: `reject_rows` tells of them."""
    reason = _CAUSES.get(record.loss.cause, LOST + "for a reason of a newer sender")
    _count(decoded.lost, reason, record.loss.points)
    return ()


def _console(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    line = record.console
    origin = decoded.delivery.message.origin
    row: Row = {
        "rank": origin.rank,
        "output": _OUTPUTS.get(line.output, "stdout"),
        "writer": line.stream or origin.writer_id,
        "line": line.line,
        "text": line.text,
    }
    return (("console", row),)


def _alert(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    alert = record.alert
    origin = decoded.delivery.message.origin
    row: Row = {
        "writer": origin.writer_id,
        "number": record.number,
        "rank": origin.rank,
        "level": _LEVELS.get(alert.level, "info"),
        "title": alert.title,
        "text": alert.text,
    }
    return (("alerts", row),)


def _heartbeat(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    return (_stream_row(decoded, "heartbeat"),)


def _finish(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    finish = record.finish
    row = _stream_row(
        decoded,
        "finish",
        outcome=_OUTCOMES.get(finish.outcome, "finished"),
        exit_code=finish.exit_code,
        points=finish.points,
        records=finish.records,
        dropped_points=finish.dropped_points,
    )
    return (row,)


def _unknown(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    _count(decoded.rejected_records, "unknown kind of record")
    return ()


def _start(record: pb.Record, decoded: DecodedBatch) -> _Rows:
    start = record.start
    yield _stream_row(
        decoded,
        "start",
        world_size=start.world_size,
        host=start.host,
        pid=start.pid,
        helper=SYSTEM_STREAM if start.system else int(start.helper),
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
            yield _field_row("run", key, value)
    if start.config_json:
        config = text.parsed(start.config_json)
        for key, value in config.items() if isinstance(config, dict) else (("config", config),):
            yield from _leaves("config", key, value)
    for key, value in MessageToDict(start.environment, preserving_proto_field_name=True).items():
        # The keys are sorted: a Struct has no order, and a batch that is stored again must give the same text.
        yield _field_row("environment", key, value, sort_keys=True)


def _count(counts: dict[str, int], reason: str, number: int = 1) -> None:
    counts[reason] = counts.get(reason, 0) + number


def _stream_row(decoded: DecodedBatch, event: str, **fields: object) -> tuple[str, Row]:
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
    return "streams", {**row, **fields}


def _field_row(section: str, key: str, value: object, *, sort_keys: bool = False) -> tuple[str, Row]:
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


def _rank(decoded: DecodedBatch) -> int:
    return decoded.delivery.message.origin.rank


_BY_KIND: dict[str, Callable[[pb.Record, DecodedBatch], _Rows]] = {
    "start": _start,
    "field": _field,
    "definition": _definition,
    "text": _text,
    "histogram": _histogram,
    "table": _table,
    "media": _media,
    "file": _file,
    "loss": _loss,
    "console": _console,
    "alert": _alert,
    "heartbeat": _heartbeat,
    "finish": _finish,
}
"""The function that makes the rows of each kind of record."""
