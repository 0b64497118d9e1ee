"""What is fuzzed: functions that take bytes from outside. Each may raise what it documents, and nothing else."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf.message_factory import GetMessageClass

from runstream.spool import format as spool_format
from runstream.spool.reader import SpoolReader
from runstream_common.bus.message_headers import from_headers, to_headers
from runstream_common.bus.protocol import BusMessage, Delivery, Origin, Position
from runstream_common.clickhouse.http_protocol import BadRequestError, unpack
from runstream_common.clickhouse.multipart import form_fields
from runstream_deploy.embedded.config import MAX_BODY_BYTES
from runstream_deploy.embedded.request import parse_statement
from runstream_ingestor.validation import InvalidBatchError
from runstream_ingestor.writer.decode import decode
from runstream_ingestor.writer.flush import prepare
from runstream_proto.v1 import ingest_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import read_token
from runstream_query.transport.grpc_server import METHODS, check_texts
from runstream_query.transport.http.forms import fields as form_of
from runstream_query.transport.http.forms import fill

ORIGIN = Origin(
    "team", "project", "run", "writer-0001", 0, 1, 1_790_000_000_000_000, "user", 1, 0, 1_790_000_000_000_000
)


def batch(data: bytes) -> None:
    """A message on the topic: decode it, and make the inserts of it."""
    try:
        decoded = decode(Delivery(BusMessage("k", data, ORIGIN), Position("t", 0, 1)))
    except InvalidBatchError:
        return
    prepare([decoded], [])


def headers(data: bytes) -> None:
    try:
        from_headers([("runstream-origin-v1", data)])
    except (ValueError, RecursionError):
        return


class _Request:
    """As much of a request as reading its fields needs."""

    def __init__(self, method: str, body: bytes) -> None:
        self.method = method
        self._body = body

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": self._body, "more_body": False}


def http_question(data: bytes) -> None:
    """The body of a POST to a method of the query service."""
    descriptor = METHODS[data[0] % len(METHODS)] if data else METHODS[0]
    question = GetMessageClass(descriptor.input_type)()
    try:
        fields = asyncio.run(form_of(_Request("POST", data[1:])))  # type: ignore[arg-type]
        fill(question, fields)
        check_texts(question)
        if "page_token" in question.DESCRIPTOR.fields_by_name:
            read_token(question, (int, str))
    except InvalidRequestError:
        return


def clickhouse_request(data: bytes) -> None:
    """A request to the embedded ClickHouse: its URL's parameters and its body, split at the first NUL."""
    text, _, body = data.partition(b"\0")
    parameters = dict(part.partition("=")[::2] for part in text.decode("utf-8", "replace").split("&"))
    try:
        statement = parse_statement(parameters, {}, body, read_only=bool(len(data) & 1))
        assert statement.kind
    except BadRequestError:
        return


def clickhouse_body(data: bytes) -> None:
    """A packed body, or a form."""
    kinds = ["gzip", "deflate", "zstd", "lz4", "form"]
    kind = kinds[data[0] % len(kinds)] if data else "gzip"
    try:
        if kind == "form":
            form_fields("multipart/form-data; boundary=x", data[1:])
        else:
            unpack(data[1:], kind, MAX_BODY_BYTES)
    except BadRequestError:
        return


_SEGMENT = Path(tempfile.gettempdir()) / f"fuzz-{random.randrange(1 << 40)}"


class _Sink:
    def row(self, *_: object) -> bool:
        return True

    def json(self, *_: object) -> bool:
        return True


def spool_segment(data: bytes) -> None:
    """A segment as a dead process left it, after its header."""
    _SEGMENT.mkdir(exist_ok=True)
    header = bytearray(64)
    spool_format.SEGMENT_HEADER.pack_into(header, 0, spool_format.MAGIC, 64, 0, 0, 64 + len(data), 0)
    (_SEGMENT / spool_format.segment_name(0)).write_bytes(bytes(header) + data)
    reader = SpoolReader(_SEGMENT, spool_format.SpoolPosition(0, spool_format.HEADER_BYTES))
    try:
        assert reader.drain(_Sink(), dead=True)  # type: ignore[arg-type]
    finally:
        reader.close()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "batch": batch,
    "headers": headers,
    "http_question": http_question,
    "clickhouse_request": clickhouse_request,
    "clickhouse_body": clickhouse_body,
    "spool_segment": spool_segment,
}


def seeds(name: str) -> list[bytes]:
    """Good inputs, from which the fuzzer begins."""
    match name:
        case "batch":
            return [_batch().SerializeToString(), pb.Batch(format=1).SerializeToString()]
        case "headers":
            return [to_headers(ORIGIN)[0][1], to_headers(replace(ORIGIN, epoch=2**24))[0][1]]
        case "http_question":
            question = {"team": "t", "project": "p", "run": "r", "runs": ["a"], "metrics": ["loss"], "page_size": 3}
            return [bytes([n]) + json.dumps(question).encode() for n in range(len(METHODS))] + [b"\0" + b"[" * 40]
        case "clickhouse_request":
            return [
                b"query=SELECT 1&param_x=1\0",
                b"\0INSERT INTO t FORMAT JSONEachRow\n{}",
                b"query=INSERT INTO t (a) FORMAT Native\0\1\2",
                b"max_threads=1\0/* c */ -- x\n SELECT 1 FORMAT CSV;",
            ]
        case "clickhouse_body":
            form = b'--x\r\nContent-Disposition: form-data; name="q"\r\n\r\n1\r\n--x--\r\n'
            packed = [bytes([1]) + zlib.compress(b"hello" * 9), bytes([2]) + b"\x28\xb5\x2f\xfd\x20\x01\x09\x00\x00a"]
            return [*packed, bytes([4]) + form]
        case _:
            return [_segment()]


def _batch() -> pb.Batch:
    import struct

    made = pb.Batch(format=1, writer_id="writer-0001", rank=0, first_record=1, last_record=3, points=4)
    made.run.team, made.run.project, made.run.run = "team", "project", "run"
    made.frames.add(
        keys=["loss", "acc"],
        rows=2,
        first_step=0,
        first_time_us=1_790_000_000_000_000,
        time_deltas=struct.pack("<b", 5),
        first_number=1,
        values=struct.pack("<4d", 1.0, 2.0, float("nan"), 4.0),
    )
    record = made.records.add(number=3, time_us=1_790_000_000_000_000)
    record.histogram.key = "h"
    record.histogram.edges.extend([0.0, 1.0])
    record.histogram.counts.append(3.0)
    return made


def _segment() -> bytes:
    import struct

    body = spool_format.SIZED.pack(spool_format.KIND_KEYSET, 1, 0, 5, 4) + b"loss" + bytes(4)
    row = spool_format.HEAD.pack(spool_format.KIND_ROW, 1, 1, 5) + struct.pack("<qd", 0, 1.5)
    records = [spool_format.PREFIX.pack(zlib.crc32(part), len(part)) + part for part in (body, row)]
    return b"".join(records) + bytes(64)
