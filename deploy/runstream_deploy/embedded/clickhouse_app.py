"""The ASGI application: it serves `/`, `/ping`, `/replicas_status` and `/metrics` as ClickHouse does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from prometheus_client import generate_latest

from runstream_common.clickhouse.http_protocol import BadRequestError, unpack
from runstream_common.clickhouse.multipart import form_fields
from runstream_common.service.disconnects import unless_gone
from runstream_common.service.metrics import Metrics
from runstream_common.service.os_process import instance_headers
from runstream_deploy.embedded.access import check_access
from runstream_deploy.embedded.config import BODY_TIMEOUT_S, MAX_BODY_BYTES, EmbeddedConfig
from runstream_deploy.embedded.engine import Engine, EngineError
from runstream_deploy.embedded.replies import VERSION, BrokenOffError, reply, send_whole
from runstream_deploy.embedded.request import Statement, parse_statement

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClickHouseApp:
    def __init__(self, config: EmbeddedConfig, engine: Engine, metrics: Metrics) -> None:
        self._config = config
        self._engine = engine
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            await self._answer(scope, headers, receive, send)
        except (BadRequestError, EngineError) as error:
            await _fail(send, error)
        except (_GoneError, BrokenOffError, TimeoutError):
            return  # a body that has begun lacks its end: the server closes the connection

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path in ("/ping", "/replicas_status") or (path == "/" and method == "GET" and not scope["query_string"]):
            reply_headers = {"content-type": "text/html; charset=UTF-8", **instance_headers()}
            await send_whole(send, 200, reply_headers, b"Ok.\n")
            return
        query = _query(scope["query_string"])
        check_access(query, headers, self._config.user, self._config.password)
        if path == "/metrics":
            text = generate_latest(self._metrics.registry)
            await send_whole(send, 200, {"content-type": "text/plain; version=0.0.4"}, text)
            return
        if path not in ("/", "/query"):
            raise BadRequestError(f"There is no handle {path[:80]}", 404, "NOT_FOUND", 404)
        if method not in ("GET", "HEAD", "POST"):
            raise BadRequestError(f"method {method[:20]} is not supported", 501, "NOT_IMPLEMENTED", 501)
        body = await _read(receive, headers)
        if encoding := headers.get("content-encoding"):
            body = await asyncio.to_thread(unpack, body, encoding, MAX_BODY_BYTES)
        if headers.get("content-type", "").startswith("multipart/form-data"):
            query, body = {**query, **await asyncio.to_thread(form_fields, headers["content-type"], body)}, b""
        statement = parse_statement(query, headers, body, read_only=method != "POST")
        with self._counting(statement, len(body)):
            async with self._engine.execute(statement) as execution:
                replying = reply(send, execution, statement, query, headers)
                await (replying if await execution.quick() else unless_gone(receive, replying, _GoneError))

    @contextlib.contextmanager
    def _counting(self, statement: Statement, size: int) -> Iterator[None]:
        kind = statement.kind
        self._metrics.counter("runstream_clickhouse_bytes_in_total").inc(size)
        self._metrics.gauge("runstream_clickhouse_running").inc()
        started = time.monotonic()
        outcome = "cancelled"
        try:
            yield
            outcome = "ok"
            self._metrics.histogram("runstream_clickhouse_query_seconds", kind=kind).observe(time.monotonic() - started)
        except (BadRequestError, EngineError, BrokenOffError) as error:
            outcome = str(error.code)
            raise
        finally:
            self._metrics.gauge("runstream_clickhouse_running").dec()
            self._metrics.counter("runstream_clickhouse_queries_total", kind=kind, outcome=outcome).inc()


class _GoneError(Exception):
    """The client closed the connection during its request."""


def _query(raw: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000))
    except (UnicodeDecodeError, ValueError) as error:
        raise BadRequestError(f"the URL cannot be read: {error}") from error


async def _read(receive: Receive, headers: Mapping[str, str]) -> bytes:
    """Return the whole body. Raise BadRequestError when it is too large or does not come."""
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise BadRequestError(f"the request body is larger than {MAX_BODY_BYTES} bytes", 307, "TOO_MANY_BYTES", 413)
    parts: list[bytes] = []
    size = 0
    while True:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                message = await receive()
        except TimeoutError as error:
            raise BadRequestError("the request body did not arrive in time", 209, "SOCKET_TIMEOUT", 408) from error
        if message["type"] == "http.disconnect":
            raise _GoneError
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BadRequestError(f"the request body is larger than {MAX_BODY_BYTES} bytes", 307, "TOO_MANY_BYTES", 413)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _fail(send: Send, error: BadRequestError | EngineError) -> None:
    headers = {
        "content-type": "text/plain; charset=UTF-8",
        "x-clickhouse-exception-code": str(error.code),
        "x-clickhouse-server-display-name": "runstream-embedded",
    }
    if error.status == 401:
        headers["www-authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    await send_whole(send, error.status, headers, f"{error} {VERSION}\n".encode("utf-8", "replace"))
