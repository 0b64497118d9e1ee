"""The HTTP side: `POST /api/v1/<Method>` with the request's JSON form, from the same definitions."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from runstream_common.objects import MediaStore
from runstream_query.downloads import download_routes
from runstream_query.errors import ClientGoneError, InvalidQuestionError, status_of
from runstream_query.leaving import unless_gone
from runstream_query.rpc import CHANGES, METHODS, SWEEP_METHODS, Desk, bearer
from runstream_query.sqlaccess.protocol import ClickHouseFront
from runstream_query.sqlaccess.runner import SqlRunner

MAX_BODY_BYTES = 1 << 20
_MAX_DEPTH = 16
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "audio/wav",
        "audio/mpeg",
        "audio/ogg",
        "video/mp4",
        "video/webm",
    }
)
"""Types that a browser may show in place: none of them can hold a script, as SVG and HTML can."""
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


def make_app(desk: Desk, media: MediaStore, sql: SqlRunner) -> Starlette:
    routes = [
        Route("/clickhouse{rest:path}", ClickHouseFront(desk, sql)),
        Route("/", _front),
        Route("/api/v1", _index),
        Route("/api/v1/media/{team}/{project}/{sha256}", _media_endpoint(desk, media)),
        *download_routes(desk, _read, _credential, _failure, _HEADERS),
    ]
    for descriptor in (*METHODS, *SWEEP_METHODS):
        changes = descriptor.name.startswith((*CHANGES, "Lease"))
        methods = ["POST"] if changes else ["GET", "POST"]
        endpoint = _stream_endpoint if descriptor.server_streaming else _endpoint
        routes.append(Route(f"/api/v1/{descriptor.name}", endpoint(desk, descriptor), methods=methods))
    return Starlette(routes=routes)


def _media_endpoint(desk: Desk, media: MediaStore) -> Any:
    async def answer(request: Request) -> Response:
        """One content. Always an attachment of no type that a browser would run: it came from users."""
        try:
            sha256 = request.path_params["sha256"]
            if not _SHA256.fullmatch(sha256):
                raise InvalidQuestionError("a content is named by its SHA-256: 64 lower-case hex digits")
            key = bearer(request.headers.get("authorization"))
            project = await desk.media_project(key, request.path_params["team"], request.path_params["project"])
            size, parts = await media.get(project, sha256)
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            return _failure(error)
        wanted = request.query_params.get("type", "")
        headers = {
            **_HEADERS,
            "content-length": str(size),
            "content-security-policy": "sandbox; default-src 'none'",
            "cache-control": "private, max-age=31536000, immutable",
            "content-disposition": "attachment" if wanted not in _SHOWN else "inline",
        }
        kind = wanted if wanted in _SHOWN else "application/octet-stream"
        return StreamingResponse(parts, media_type=kind, headers=headers)

    return answer


def _failure(error: Exception) -> Response:
    status, words = status_of(error)
    return JSONResponse({"error": {"code": status.grpc.name, "message": words}}, status.http, headers=_HEADERS)


def _endpoint(desk: Desk, descriptor: Any) -> Any:
    request_class = GetMessageClass(descriptor.input_type)

    async def answer(request: Request) -> Response:
        try:
            question = request_class()
            _fill(question, await _fields(request))
            asking = desk.ask(descriptor.name, bearer(request.headers.get("authorization")), question)
            response = await unless_gone(request.receive, asking)
        except (ClientDisconnect, ClientGoneError):
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            return _failure(error)
        return Response(_json(response), media_type="application/json", headers=_HEADERS)

    return answer


def _stream_endpoint(desk: Desk, descriptor: Any) -> Any:
    """Server-sent events: each response is the data of a `message`; trouble in mid-stream is an `error`, the last."""
    request_class = GetMessageClass(descriptor.input_type)

    async def answer(request: Request) -> Response:
        try:
            question = request_class()
            _fill(question, _resumed(request, descriptor, await _fields(request)))
            responses = desk.stream(descriptor.name, bearer(request.headers.get("authorization")), question)
            first = await anext(responses, None)  # what is wrong with the question is a status, not an event
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            return _failure(error)
        headers = {**_HEADERS, "x-accel-buffering": "no"}
        return StreamingResponse(_events(first, responses), media_type="text/event-stream", headers=headers)

    return answer


async def _events(first: Any, responses: AsyncIterator[Any]) -> AsyncIterator[str]:
    try:
        if first is None:
            return
        yield _event(first)
        async for response in responses:
            yield _event(response)
    except Exception as error:  # noqa: BLE001  # the boundary: the status is sent already
        status, words = status_of(error)
        yield f"event: error\ndata: {json.dumps({'code': status.grpc.name, 'message': words})}\n\n"
    finally:
        await responses.aclose()  # type: ignore[attr-defined]  # an async generator


async def _read(question: Any, request: Request) -> None:
    _fill(question, await _fields(request))


def _credential(request: Request) -> str:
    return bearer(request.headers.get("authorization"))


def _event(response: Any) -> str:
    """With its `id` where the response has an `event_id`: a browser sends the last one when it connects again."""
    event_id = getattr(response, "event_id", "")
    return f"{f'id: {event_id}' + chr(10) if event_id else ''}data: {_json(response)}\n\n"


def _resumed(request: Request, descriptor: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, with `after` from the header in which a browser sends the last event's id."""
    last = request.headers.get("last-event-id", "")
    if last and "after" in descriptor.input_type.fields_by_name:
        return {**fields, "after": [last] if request.method == "GET" else last}
    return fields


def _json(response: Any) -> str:
    return json_format.MessageToJson(
        response, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
    )


async def _fields(request: Request) -> dict[str, Any]:
    """The request's fields: JSON of a POST, or the URL's parameters of a GET. Raises InvalidQuestionError."""
    if request.method == "GET":
        fields: dict[str, Any] = {}
        for name, value in request.query_params.multi_items():
            fields.setdefault(name, []).append(value)
        return fields
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise InvalidQuestionError(f"the request is larger than {MAX_BODY_BYTES} bytes")
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidQuestionError(f"the body is no JSON: {error}") from error
    if not isinstance(found, dict) or _depth(found) > _MAX_DEPTH:
        raise InvalidQuestionError(f"the body is no JSON object of at most {_MAX_DEPTH} levels")
    return found


def _fill(question: Any, fields: dict[str, Any]) -> None:
    """Raises InvalidQuestionError naming the field."""
    known = question.DESCRIPTOR.fields_by_name
    for name in list(fields):
        # Of a GET each value is a list; only repeated fields keep it.
        if name in known and isinstance(fields[name], list) and not known[name].is_repeated:
            fields[name] = _scalar(known[name], fields[name][-1]) if fields[name] else None
    try:
        json_format.ParseDict(fields, question, max_recursion_depth=_MAX_DEPTH)
    except (json_format.ParseError, RecursionError) as error:
        raise InvalidQuestionError(f"the request does not fit: {error}; fields: {', '.join(known)}") from error


def _scalar(field: Any, value: Any) -> Any:
    if field.cpp_type == field.CPPTYPE_BOOL and isinstance(value, str):
        return value.lower() in ("1", "true", "yes")
    return value


def _depth(value: Any) -> int:
    """Levels of nesting, counted without recursion; stops a little past the limit."""
    level, depth = [value], 0
    while level and depth <= _MAX_DEPTH:
        depth += 1
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


async def _index(request: Request) -> Response:
    methods = {method.name: [field.name for field in method.input_type.fields] for method in (*METHODS, *SWEEP_METHODS)}
    return JSONResponse({"methods": methods}, headers=_HEADERS)


async def _front(request: Request) -> Response:
    items = "".join(f"<li><code>POST /api/v1/{method.name}</code></li>" for method in (*METHODS, *SWEEP_METHODS))
    return HTMLResponse(_PAGE.replace("METHODS", items), headers=_HEADERS)


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>runstream</title>
<style>:root{color-scheme:light dark}body{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:12vh auto;
padding:0 1.5rem}h1{font-size:1.6rem;margin:0}code,pre{font:14px/1.6 ui-monospace,monospace}pre{padding:1rem;
border:1px solid color-mix(in srgb,currentColor 20%,transparent);border-radius:8px;overflow-x:auto}
ul{padding-left:1.2rem}</style>
<h1>runstream</h1><p>The query service is up. Ask it with an API key:</p>
<pre>curl -H "authorization: Bearer $RUNSTREAM_API_KEY" \\
  -d '{"project": "digits"}' $RUNSTREAM_BASE_URL/api/v1/ListRuns</pre>
<p>Or from Python: <code>runstream.Api().runs("digits")</code>. The methods:</p><ul>METHODS</ul></html>"""
