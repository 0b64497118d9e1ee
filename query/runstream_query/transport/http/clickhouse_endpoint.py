"""Serve `/clickhouse/`: ClickHouse's HTTP protocol, for Grafana, clickhouse-connect, clickhouse-go, curl.

The password is an API key of runstream; the user may be anything. A query reads only rows of the key's teams.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from runstream_common.clickhouse.http_protocol import CONTENT_TYPES, BadRequestError, credentials, unpack
from runstream_common.clickhouse.multipart import form_fields
from runstream_common.clickhouse.raw import RawAnswer
from runstream_control.errors import AuthenticationError
from runstream_query.base.errors import (
    ClientGoneError,
    InvalidRequestError,
    SlowBodyError,
    SqlError,
    TooExpensiveError,
    status_of,
)
from runstream_query.sqlaccess import catalogue, client_settings
from runstream_query.sqlaccess.sql_runner import SqlRequest, SqlRunner
from runstream_query.transport.client_gone import Receive, unless_gone
from runstream_query.transport.credentials import Credential, bearer
from runstream_query.transport.dispatcher import Dispatcher
from runstream_query.transport.request_bodies import MAX_BYTES, aside, read_body

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_PASSED_ON = ("content-encoding", "x-clickhouse-timezone", "x-clickhouse-query-id")
_STATUS = {60: 404, 81: 404, 46: 404, 73: 404, 115: 404, 159: 408, 164: 403, 202: 503, 241: 500, 497: 403}
_NAMES = {
    62: "SYNTAX_ERROR",
    159: "TIMEOUT_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    241: "MEMORY_LIMIT_EXCEEDED",
}


class ClickHouseFront:
    """Serves ClickHouse's HTTP protocol as an ASGI application."""

    def __init__(self, dispatcher: Dispatcher, runner: SqlRunner) -> None:
        self._dispatcher = dispatcher
        self._runner = runner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"].rpartition("/clickhouse")[2]
        if path in ("/ping", "/replicas_status"):
            await _respond(send, 200, {"content-type": "text/html; charset=UTF-8"}, b"Ok.\n")
            return
        try:
            if path not in ("", "/", "/query"):
                raise BadRequestError(f"There is no handle {path[:80]}", 404, "NOT_FOUND", 404)
            await self._answer(scope, headers, receive, send)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            await _refuse(send, error)

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send) -> None:
        """Answer one request; raise the error if something is wrong before the response has begun."""
        query = _query(scope["query_string"])
        key = bearer(headers.get("authorization"))
        if not key.secret:
            key = Credential("key", credentials(query, headers)[1])
        async with contextlib.AsyncExitStack() as stack:
            principal = await stack.enter_async_context(self._dispatcher.opened("ClickHouse", key))
            packed = await read_body(receive)
            form, body = await aside(
                MAX_BYTES if headers.get("content-encoding") else len(packed), partial(_opened, headers, packed)
            )
            query = {**query, **form}
            request = _sql_request(query, headers, body, frozenset(principal.roles), self._runner.database)
            answer = await unless_gone(receive, stack.enter_async_context(self._runner.run(principal, request)))
            await _send_on(send, answer, request.output_format, scope["method"] == "HEAD")


def _opened(headers: Mapping[str, str], packed: bytes) -> tuple[dict[str, str], bytes]:
    """Return the fields of a form, and the rest of the body. Raise BadRequestError."""
    body = unpack(packed, headers.get("content-encoding", ""), MAX_BYTES)
    if headers.get("content-type", "").startswith("multipart/form-data"):
        return form_fields(headers["content-type"], body), b""
    return {}, body


async def _send_on(send: Send, answer: RawAnswer, requested_format: str, only_head: bool) -> None:
    output_format = answer.headers.get("x-clickhouse-format", requested_format)
    headers = {
        "content-type": CONTENT_TYPES.get(output_format, "text/plain; charset=UTF-8"),
        "x-clickhouse-format": output_format,
        "x-clickhouse-server-display-name": "runstream",
        "x-content-type-options": "nosniff",
        **{name: answer.headers[name] for name in _PASSED_ON if name in answer.headers},
    }
    await send({"type": "http.response.start", "status": 200, "headers": _raw(headers)})
    parts: AsyncIterator[bytes] = answer.parts
    async for part in parts:
        if not only_head:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _sql_request(
    query: Mapping[str, str], headers: Mapping[str, str], body: bytes, teams: frozenset[str], database: str
) -> SqlRequest:
    """Return the request as a query to run. Raise BadRequestError."""
    if query.get("compress") == "1" or query.get("decompress") == "1":
        raise BadRequestError(
            "ClickHouse's own compression is not served: let the client use gzip, zstd or lz4 of HTTP",
            48,
            "NOT_IMPLEMENTED",
            501,
        )
    named = query.get("database") or headers.get("x-clickhouse-database") or "default"
    if named not in ("default", database):
        raise BadRequestError(f"Database {named[:80]} does not exist", 81, "UNKNOWN_DATABASE", 404)
    output_format = query.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated"
    if output_format not in catalogue.FORMATS:
        raise BadRequestError(f"Unknown format {output_format[:40]}", 73, "UNKNOWN_FORMAT", 404)
    settings, seconds = client_settings.chosen(query)
    try:
        text = "\n".join(part for part in (query.get("query", ""), body.decode("utf-8")) if part)
    except UnicodeDecodeError as error:
        raise BadRequestError("the query is not valid UTF-8", 62, "SYNTAX_ERROR") from error
    version = query.get("client_protocol_version", "")
    packed = query.get("enable_http_compression") == "1"
    return SqlRequest(
        sql=text,
        parameters={name[6:]: value for name, value in query.items() if name.startswith("param_")},
        teams=teams,
        output_format=output_format,
        settings=settings,
        protocol={
            **({"client_protocol_version": version} if version.isdecimal() and len(version) < 10 else {}),
            **({"enable_http_compression": "1"} if packed else {}),
        },
        accept_encoding=headers.get("accept-encoding", "identity") if packed else "identity",
        seconds=seconds,
    )


def _query(raw: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000))
    except (UnicodeDecodeError, ValueError) as error:
        raise BadRequestError(f"the URL cannot be read: {error}") from error


async def _refuse(send: Send, error: Exception) -> None:
    """Send an error as ClickHouse does: a status, the error's code in a header, one line."""
    error = _as_clickhouse_error(error)
    assert isinstance(error, BadRequestError)
    headers = {
        "content-type": "text/plain; charset=UTF-8",
        "x-clickhouse-exception-code": str(error.code),
        "x-clickhouse-server-display-name": "runstream",
        "x-content-type-options": "nosniff",
    }
    if error.status == 401:
        headers["www-authenticate"] = 'Basic realm="runstream"'
    await _respond(send, error.status, headers, f"{error}\n".encode("utf-8", "replace"))


def _as_clickhouse_error(error: Exception) -> BadRequestError:
    if isinstance(error, BadRequestError):
        return error
    if isinstance(error, AuthenticationError):
        return BadRequestError(f"Authentication failed: {error}", 516, "AUTHENTICATION_FAILED", 401)
    if isinstance(error, SqlError | TooExpensiveError):
        name = _NAMES.get(error.code, "QUERY_FAILED")
        return BadRequestError(str(error), error.code, name, _STATUS.get(error.code, 400))
    if isinstance(error, SlowBodyError):
        return BadRequestError(str(error), 209, "SOCKET_TIMEOUT", 408)
    if isinstance(error, InvalidRequestError):
        return BadRequestError(str(error), 497, "ACCESS_DENIED", 403)
    status, message = status_of(error)
    return BadRequestError(
        message,
        210 if status.http == 503 else 1002,
        "NETWORK_ERROR" if status.http == 503 else "UNKNOWN_EXCEPTION",
        status.http,
    )


async def _respond(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": _raw({**headers, "content-length": str(len(body))}),
        }
    )
    await send({"type": "http.response.body", "body": body})


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
