"""Check that a batch is consistent. The checks look at lengths and names only, never at points.

The gateway checks a batch before it puts it on the bus. The writer checks it again, because anything may lie on a
topic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runstream_common import limits
from runstream_common.bus.protocol import Origin
from runstream_proto.v1 import ingest_pb2 as pb

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WRITER = re.compile(r"[A-Za-z0-9_-]{8,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WIDTHS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class InvalidBatchError(Exception):
    """The batch will never be stored; the detail says why."""

    reason: pb.RejectReason.ValueType
    detail: str

    def __str__(self) -> str:
        return self.detail


def parse(data: bytes) -> pb.Batch:
    """Return the batch. Raise InvalidBatchError when the bytes are no Batch of a known format."""
    try:
        batch = pb.Batch.FromString(data)
    except Exception as error:  # upb raises its own DecodeError, a subclass of Exception only
        raise InvalidBatchError(pb.REJECT_REASON_CORRUPT, f"the batch is not a protobuf message: {error}") from error
    if batch.format != 1:
        raise InvalidBatchError(
            pb.REJECT_REASON_BAD_SHAPE, f"batch format {batch.format} is not known to this server: upgrade it"
        )
    return batch


def check_batch(batch: pb.Batch) -> None:
    """Raise InvalidBatchError unless every frame's columns fit its rows and keys, and every name is usable."""
    if batch.last_record + 1 < batch.first_record or batch.last_record > limits.MAX_RECORD_NUMBER:
        raise _bad(f"records {batch.first_record} to {batch.last_record} are not a valid range")
    points = 0
    for index, frame in enumerate(batch.frames):
        check_frame(frame, index)
        points += frame.rows * len(frame.keys)
    if points != batch.points:
        raise _bad(f"the batch declares {batch.points} points and contains {points}")
    if len(batch.records) > limits.MAX_RECORDS_PER_BATCH:
        raise _bad(f"the batch has {len(batch.records)} records: at most {limits.MAX_RECORDS_PER_BATCH} are allowed")
    for record in batch.records:
        _check_record(record)


def check_origin(batch: pb.Batch, origin: Origin) -> None:
    """Raise InvalidBatchError when the batch names another run or process than its stream."""
    claimed = (batch.run.team or origin.team, batch.run.project, batch.run.run, batch.writer_id, batch.rank)
    bound = (origin.team, origin.project, origin.run, origin.writer_id, origin.rank)
    if claimed != bound:
        raise InvalidBatchError(
            pb.REJECT_REASON_WRONG_RUN,
            f"the batch belongs to {'/'.join(map(str, claimed))}, and its stream to {'/'.join(map(str, bound))}",
        )


def check_frame(frame: pb.MetricFrame, index: int) -> None:
    """Raise InvalidBatchError unless the frame's columns fit its rows and keys, and its names are usable."""
    rows, width = frame.rows, len(frame.keys)
    where = f"frame {index}"
    if not 1 <= rows <= limits.MAX_ROWS_PER_FRAME or not 1 <= width <= limits.MAX_KEYS_PER_FRAME:
        raise _bad(
            f"{where} has {rows} rows of {width} keys: between 1 and {limits.MAX_ROWS_PER_FRAME} rows of "
            f"1 to {limits.MAX_KEYS_PER_FRAME} keys are allowed"
        )
    if len(frame.values) != 8 * rows * width:
        raise _bad(
            f"{where} has {rows} rows of {width} keys and {len(frame.values)} bytes of values, not {8 * rows * width}"
        )
    for name, deltas, may_be_empty in (
        ("numbers", frame.number_deltas, True),
        ("steps", frame.step_deltas, True),
        ("times", frame.time_deltas, rows == 1),
    ):
        if not (deltas or may_be_empty) or (deltas and delta_width(len(deltas), rows) == 0):
            raise _bad(f"{where}: {len(deltas)} bytes of {name} do not fit {rows} rows")
    if frame.first_number < 1 or frame.first_number + rows - 1 > limits.MAX_RECORD_NUMBER:
        raise _bad(f"{where}: record number {frame.first_number} is out of range")
    check_names(frame.keys, where)


def delta_width(length: int, rows: int) -> int:
    """Return the bytes of one difference, or 0 when `length` fits no width."""
    if rows < 2 or length % (rows - 1):
        return 0
    width = length // (rows - 1)
    return width if width in _WIDTHS else 0


def check_names(names: object, where: str) -> None:
    """Raise InvalidBatchError for names that are empty, doubled, too long, or hold control characters."""
    keys = list(names)  # type: ignore[call-overload]  # a protobuf container of str
    if len(set(keys)) != len(keys):
        raise _bad(f"{where} repeats a metric name")
    longest = max(map(len, keys))
    if not all(keys) or _CONTROL.search("".join(keys)) or longest * 4 > limits.MAX_METRIC_NAME_BYTES:
        for key in keys:
            problem = name_problem(key)
            if problem:
                raise InvalidBatchError(pb.REJECT_REASON_BAD_NAME, f"{where}: {problem}")


def name_problem(name: str) -> str:
    """Return what is wrong with a metric's name, or an empty text."""
    if not name:
        return "an empty metric name"
    if len(name.encode()) > limits.MAX_METRIC_NAME_BYTES:
        return f"metric name {name[:40]!r}... is longer than {limits.MAX_METRIC_NAME_BYTES} bytes"
    if _CONTROL.search(name):
        return f"metric name {name[:80]!r} contains a control character"
    return ""


def _check_record(record: pb.Record) -> None:
    kind = record.WhichOneof("kind")
    if record.number > limits.MAX_RECORD_NUMBER:
        raise _bad(f"record number {record.number} is out of range")
    if kind in ("text", "histogram", "media", "table"):
        problem = name_problem(getattr(record, kind).key)
        if problem:
            raise InvalidBatchError(pb.REJECT_REASON_BAD_NAME, f"record {record.number}: {problem}")
    if kind == "console" and record.console.stream and not _WRITER.fullmatch(record.console.stream):
        raise _bad(f"record {record.number}: the console line's stream is not a writer id")
    if kind in ("media", "file") and not _SHA256.fullmatch(getattr(record, kind).sha256):
        raise _bad(f"record {record.number}: its sha256 is not 64 lower-case hex digits")
    if kind == "file" and not good_path(record.file.path):
        raise InvalidBatchError(
            pb.REJECT_REASON_BAD_NAME,
            f"record {record.number}: the path {record.file.path[:80]!r} is not a clean relative path",
        )
    if kind == "histogram" and len(record.histogram.edges) != len(record.histogram.counts) + 1:
        raise _bad(
            f"record {record.number}: the histogram has {len(record.histogram.counts)} counts and "
            f"{len(record.histogram.edges)} edges: it must have one edge more than counts"
        )


def good_path(path: str) -> bool:
    """Return whether the path is relative and clean.

    A clean path has no backslash, no empty, `.` or `..` part, no control character, and at most MAX_PATH_BYTES.
    """
    parts = path.split("/")
    return (
        0 < len(path.encode()) <= limits.MAX_PATH_BYTES
        and not _CONTROL.search(path)
        and "\\" not in path
        and all(part not in ("", ".", "..") for part in parts)
    )


def _bad(detail: str) -> InvalidBatchError:
    return InvalidBatchError(pb.REJECT_REASON_BAD_SHAPE, detail)
