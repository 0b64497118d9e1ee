"""The ASGI application: `/`, `/ping`, `/replicas_status`, `/metrics`, as ClickHouse serves them."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import structlog
from prometheus_client import generate_latest

from runstream_common.clickhouse_protocol import CONTENT_TYPES, BadRequestError, form_fields, pack, unpack
from runstream_common.metrics import Metrics
from runstream_deploy.embedded.access import check_access
from runstream_deploy.embedded.config import BODY_TIMEOUT_S, MAX_BODY_BYTES, EmbeddedConfig
from runstream_deploy.embedded.engine import Answer, Engine, EngineError
from runstream_deploy.embedded.native import with_protocol_version
from runstream_deploy.embedded.request import Statement, parse_statement

LOG = structlog.get_logger()
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_PACK_FROM_BYTES = 1024
_QUERY_ID = re.compile(r"[\x21-\x7e]{1,128}")


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
            status, answer_headers, body = await self._answer(scope, headers, receive)
        except BadRequestError as error:
            status, answer_headers, body = _failure(error, error.status, error.code)
        except EngineError as error:
            status, answer_headers, body = _failure(error, error.status, error.code)
        except _GoneError:
            return
        answer_headers["content-length"] = str(len(body))
        raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer_headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive
    ) -> tuple[int, dict[str, str], bytes]:
        path, method = scope["path"], scope["method"]
        if path in ("/ping", "/replicas_status") or (path == "/" and method == "GET" and not scope["query_string"]):
            return 200, {"content-type": "text/html; charset=UTF-8"}, b"Ok.\n"
        query = _query(scope["query_string"])
        check_access(query, headers, self._config.user, self._config.password)
        if path == "/metrics":
            return 200, {"content-type": "text/plain; version=0.0.4"}, generate_latest(self._metrics.registry)
        if path not in ("/", "/query"):
            raise BadRequestError(f"There is no handle {path[:80]}", 404, "NOT_FOUND", 404)
        if method not in ("GET", "HEAD", "POST"):
            raise BadRequestError(f"method {method[:20]} is not served", 501, "NOT_IMPLEMENTED", 501)
        body = unpack(await _read(receive, headers), headers.get("content-encoding", ""), MAX_BODY_BYTES)
        if headers.get("content-type", "").startswith("multipart/form-data"):
            query, body = {**query, **form_fields(headers["content-type"], body)}, b""
        statement = parse_statement(query, headers, body, read_only=method != "POST")
        if query.get("cancel_http_readonly_queries_on_client_close") == "1":
            answer = await self._while_there(receive, statement, len(body))
        else:
            answer = await self._run(statement, len(body))
        return self._success(statement, answer, query, headers)

    async def _while_there(self, receive: Receive, statement: Statement, size: int) -> Answer:
        """The answer, unless the client goes first: then the query is killed. Raises _GoneError."""
        marked, mark = statement.marked()
        running = asyncio.ensure_future(self._run(marked, size))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            await self._engine.kill(mark)
            await asyncio.wait((running,))
            raise _GoneError
        finally:
            gone.cancel()
            if running.done() and not running.cancelled():
                running.exception()  # nobody else asks for it

    async def _run(self, statement: Statement, size: int) -> Answer:
        kind = statement.kind
        self._metrics.counter("runstream_clickhouse_bytes_in_total").inc(size)
        self._metrics.gauge("runstream_clickhouse_running").inc()
        outcome = "ok"
        try:
            answer = await self._engine.run(statement)
            self._metrics.histogram("runstream_clickhouse_query_seconds", kind=kind).observe(answer.seconds)
            return answer
        except (BadRequestError, EngineError) as error:
            outcome = str(error.code)
            raise
        finally:
            self._metrics.gauge("runstream_clickhouse_running").dec()
            self._metrics.counter("runstream_clickhouse_queries_total", kind=kind, outcome=outcome).inc()

    @staticmethod
    def _success(
        statement: Statement, answer: Answer, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        query_id = query.get("query_id", "")
        summary = {
            "read_rows": str(answer.rows_read),
            "read_bytes": str(answer.bytes_read),
            "written_rows": str(answer.rows_written),
            "written_bytes": str(answer.bytes_written),
            "elapsed_ns": str(int(answer.seconds * 1e9)),
        }
        out = {
            "content-type": CONTENT_TYPES.get(statement.output_format, "text/plain; charset=UTF-8"),
            "x-clickhouse-format": statement.output_format,
            "x-clickhouse-query-id": query_id if _QUERY_ID.fullmatch(query_id) else str(uuid.uuid4()),
            "x-clickhouse-summary": json.dumps(summary),
            "x-clickhouse-timezone": "Etc/UTC",
            "x-clickhouse-server-display-name": "runstream-embedded",
        }
        data = answer.data
        if statement.output_format == "Native" and query.get("client_protocol_version", "").isdecimal():
            data = with_protocol_version(data, int(query["client_protocol_version"]))
        if query.get("enable_http_compression") == "1" and len(data) >= _PACK_FROM_BYTES:
            data, encoding = pack(data, headers.get("accept-encoding", ""))
            if encoding:
                out["content-encoding"] = encoding
        return 200, out, data


class _GoneError(Exception):
    """The client went away in mid-request."""


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _query(raw: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000))
    except (UnicodeDecodeError, ValueError) as error:
        raise BadRequestError(f"the URL cannot be read: {error}") from error


async def _read(receive: Receive, headers: Mapping[str, str]) -> bytes:
    """The body, whole. Raises BadRequestError when it is too large or does not come."""
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise BadRequestError(f"a body of more than {MAX_BODY_BYTES} bytes", 307, "TOO_MANY_BYTES", 413)
    parts: list[bytes] = []
    size = 0
    while True:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                message = await receive()
        except TimeoutError as error:
            raise BadRequestError("the body did not come", 209, "SOCKET_TIMEOUT", 408) from error
        if message["type"] == "http.disconnect":
            raise _GoneError
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BadRequestError(f"a body of more than {MAX_BODY_BYTES} bytes", 307, "TOO_MANY_BYTES", 413)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _failure(error: Exception, status: int, code: int) -> tuple[int, dict[str, str], bytes]:
    headers = {
        "content-type": "text/plain; charset=UTF-8",
        "x-clickhouse-exception-code": str(code),
        "x-clickhouse-server-display-name": "runstream-embedded",
    }
    if status == 401:
        headers["www-authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    return status, headers, f"{error} (version 26.9 (chdb))\n".encode("utf-8", "replace")
