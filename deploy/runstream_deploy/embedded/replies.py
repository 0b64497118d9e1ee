"""Send an answer over HTTP: a small one whole, a large one piece by piece.

A failed one breaks off as ClickHouse's does.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from runstream_common.clickhouse.http_protocol import CONTENT_TYPES
from runstream_deploy.embedded.config import SEND_TIMEOUT_S
from runstream_deploy.embedded.engine import EngineError
from runstream_deploy.embedded.execution import Execution, StatementResult
from runstream_deploy.embedded.native import with_protocol_version
from runstream_deploy.embedded.packing import Packer, choose_packer
from runstream_deploy.embedded.request import Statement

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
VERSION = "(version 26.9 (chdb))"
_WHOLE_BYTES = 1 << 20
"""An answer up to this size is sent whole: with its length, and with a status that reports a failure."""
_MAX_WAITED_BYTES = 256 << 20
_TOO_LARGE_NATIVE = (
    f"Code: 396. DB::Exception: an answer in Native for a client's protocol version is limited to "
    f"{_MAX_WAITED_BYTES} bytes: request fewer rows, or another format. (TOO_MANY_ROWS_OR_BYTES)"
)
_PACK_FROM_BYTES = 1024
_QUERY_ID = re.compile(r"[\x21-\x7e]{1,128}")


class BrokenOffError(Exception):
    """The answer ended half-way: the connection must close without the end of the body.

    `code` is ClickHouse's.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


async def reply(
    send: Send, execution: Execution, statement: Statement, query: Mapping[str, str], headers: Mapping[str, str]
) -> None:
    """Send the whole answer.

    Raise EngineError before the first byte, BrokenOffError after it, and TimeoutError when the client does not take it.
    """
    protocol_version = _protocol_version(statement, query)
    # With `wait_end_of_query` the client asks for a status that says how the query ended.
    waits = query.get("wait_end_of_query") == "1" or protocol_version is not None
    head, more = await _head(execution, _MAX_WAITED_BYTES if waits else _WHOLE_BYTES)
    if protocol_version is not None:
        if more:
            raise EngineError(_TOO_LARGE_NATIVE)
        head = await asyncio.to_thread(with_protocol_version, head, protocol_version)
    out = _headers(statement, query)
    packer = choose_packer(query, headers) if more or len(head) >= _PACK_FROM_BYTES else None
    if packer is not None:
        out["content-encoding"] = packer.name
    if not more:
        body = packer.whole(head) if packer is not None else head
        await send_whole(send, 200, {**out, "x-clickhouse-summary": _summary(await execution.answer())}, body)
        return
    out["x-clickhouse-exception-tag"] = tag = secrets.token_hex(8)
    await send(_start(200, out))
    try:
        async for part in _packed(_pieces(head, execution), packer):
            await _send_part(send, part)
    except EngineError as error:
        end = _exception(error, tag)
        await _send_part(send, packer.add(end) + packer.finish() if packer is not None else end)
        raise BrokenOffError(str(error), error.code) from error
    await send({"type": "http.response.body", "body": b""})


async def send_whole(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    await send(_start(status, {**headers, "content-length": str(len(body))}))
    await send({"type": "http.response.body", "body": body})


def _protocol_version(statement: Statement, query: Mapping[str, str]) -> int | None:
    """Return the protocol version of a client that wants Native blocks with headers, or None.

    The engine does not write these headers.
    """
    version = query.get("client_protocol_version", "")
    return int(version) if statement.output_format == "Native" and version.isdecimal() else None


async def _head(execution: Execution, most: int) -> tuple[bytes, bool]:
    """Return the answer's first pieces, and whether there are more. Raise EngineError."""
    pieces: list[bytes] = []
    size = 0
    while size <= most:
        piece = await execution.read()
        if not piece:
            return b"".join(pieces), False
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces), True


async def _pieces(head: bytes, execution: Execution) -> AsyncIterator[bytes]:
    yield head
    while piece := await execution.read():
        yield piece


async def _packed(pieces: AsyncIterator[bytes], packer: Packer | None) -> AsyncIterator[bytes]:
    if packer is None:
        async for piece in pieces:
            yield piece
        return
    async for piece in pieces:
        if packed := await asyncio.to_thread(packer.add, piece):
            yield packed
    yield packer.finish()


async def _send_part(send: Send, part: bytes) -> None:
    """Send a part. Raise TimeoutError when the client takes nothing: it holds a thread of the engine."""
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await send({"type": "http.response.body", "body": part, "more_body": True})


def _start(status: int, headers: Mapping[str, str]) -> MutableMapping[str, Any]:
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


def _headers(statement: Statement, query: Mapping[str, str]) -> dict[str, str]:
    query_id = query.get("query_id", "")
    return {
        "content-type": CONTENT_TYPES.get(statement.output_format, "text/plain; charset=UTF-8"),
        "x-clickhouse-format": statement.output_format,
        "x-clickhouse-query-id": query_id if _QUERY_ID.fullmatch(query_id) else str(uuid.uuid4()),
        "x-clickhouse-timezone": "Etc/UTC",
        "x-clickhouse-server-display-name": "runstream-embedded",
    }


def _summary(answer: StatementResult) -> str:
    return json.dumps(
        {
            "read_rows": str(answer.rows_read),
            "read_bytes": str(answer.bytes_read),
            "written_rows": str(answer.rows_written),
            "written_bytes": str(answer.bytes_written),
            "elapsed_ns": str(int(answer.seconds * 1e9)),
        }
    )


def _exception(error: EngineError, tag: str) -> bytes:
    """Return the bytes with which ClickHouse ends a body when it fails after the status was sent."""
    text = f"{error} {VERSION}\n".encode("utf-8", "replace")
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())
