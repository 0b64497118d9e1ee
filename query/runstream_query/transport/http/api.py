"""Serves the methods over HTTP: `POST /api/v1/<Method>` takes the JSON form of the request's message."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from runstream_common.objects import MediaStore
from runstream_query.base.errors import ClientGoneError, InvalidRequestError, status_of
from runstream_query.base.offload import offload
from runstream_query.methods.method_table import Method, StreamingMethod, UnaryMethod
from runstream_query.sqlaccess.sql_runner import SqlRunner
from runstream_query.transport.client_gone import unless_gone
from runstream_query.transport.dispatcher import Dispatcher
from runstream_query.transport.http.clickhouse_endpoint import ClickHouseFront
from runstream_query.transport.http.downloads import download_routes
from runstream_query.transport.http.forms import read_into
from runstream_query.transport.http.request_credentials import SessionGuard
from runstream_query.transport.http.response_headers import HEADERS, failure

Endpoint = Callable[[Request], Awaitable[Response]]
PROTOBUF = "application/x-protobuf"
"""A client that names it in `accept` gets the response in gRPC's wire format. Errors are JSON all the same."""
_LARGE_BYTES = 64 << 10
"""From so many bytes on, a response is turned into JSON in a thread."""
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

_DOCUMENT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:; "
    "frame-ancestors 'self'"
)
"""The policy for a logged HTML page, which is shown only inside our page.

It runs no script, sends no form, fetches nothing, and has an origin of its own.
"""


def api_routes(dispatcher: Dispatcher, guard: SessionGuard, media: MediaStore, sql: SqlRunner) -> list[BaseRoute]:
    routes: list[BaseRoute] = [
        *(Route(path, ClickHouseFront(dispatcher, sql)) for path in ("/clickhouse", "/clickhouse/{rest:path}")),
        Route("/api/v1", _index_endpoint(dispatcher)),
        Route("/api/v1/media/{team}/{project}/{sha256}", _media_endpoint(dispatcher, guard, media)),
        *download_routes(dispatcher, guard),
    ]
    for method in dispatcher.methods:
        if isinstance(method, UnaryMethod):
            endpoint = _endpoint(dispatcher, guard, method)
        else:
            endpoint = _stream_endpoint(dispatcher, guard, method)
        verbs = ["POST"] if method.has_side_effects else ["GET", "POST"]
        routes.append(Route(f"/api/v1/{method.name}", endpoint, methods=verbs))
    return routes


def _media_endpoint(dispatcher: Dispatcher, guard: SessionGuard, media: MediaStore) -> Endpoint:
    async def answer(request: Request) -> Response:
        """Return one stored content.

        Contents come from users, so a type that a browser would run becomes an attachment. With `view=html` a document
        is shown under a policy that lets it do nothing.
        """
        try:
            sha256 = request.path_params["sha256"]
            if not _SHA256.fullmatch(sha256):
                raise InvalidRequestError("a content is named by its SHA-256: 64 lower-case hex digits")
            key = guard.credential(request)
            project = await dispatcher.media_project(key, request.path_params["team"], request.path_params["project"])
            size, parts = await media.get(project, sha256)
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            return failure(error)
        if request.query_params.get("view") == "html":
            headers = {**HEADERS, "content-length": str(size), "content-security-policy": _DOCUMENT_POLICY}
            return StreamingResponse(parts, media_type="text/html; charset=utf-8", headers=headers)
        wanted = request.query_params.get("type", "")
        headers = {
            **HEADERS,
            "content-length": str(size),
            "content-security-policy": "sandbox; default-src 'none'",
            "cache-control": "private, max-age=31536000, immutable",
            "content-disposition": "attachment" if wanted not in _SHOWN else "inline",
        }
        kind = wanted if wanted in _SHOWN else "application/octet-stream"
        return StreamingResponse(parts, media_type=kind, headers=headers)

    return answer


def _endpoint(dispatcher: Dispatcher, guard: SessionGuard, method: UnaryMethod) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            credential = guard.credential(request)
            await dispatcher.admit(method, credential)
            message = method.request_type()
            await read_into(message, request)
            response = await unless_gone(request.receive, dispatcher.call(method, credential, message))
        except ClientGoneError:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            return failure(error)
        headers = {**HEADERS, "vary": "accept"}
        if PROTOBUF in request.headers.get("accept", ""):
            return Response(response.SerializeToString(), media_type=PROTOBUF, headers=headers)
        body = await offload(response.ByteSize() > _LARGE_BYTES, _json, response)
        return Response(body, media_type="application/json", headers=headers)

    return answer


def _stream_endpoint(dispatcher: Dispatcher, guard: SessionGuard, method: StreamingMethod) -> Endpoint:
    """Return an endpoint that streams server-sent events.

    Each response is the data of a `message` event. An error in mid-stream is an `error` event, which is the last.
    """

    async def answer(request: Request) -> Response:
        try:
            credential = guard.credential(request)
            await dispatcher.admit(method, credential)
            message = method.request_type()
            await read_into(message, request, **_resumed(request, method))
            responses = dispatcher.stream(method, credential, message)
            first = await anext(responses, None)  # an invalid request gets a status, not an event
        except ClientGoneError:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            return failure(error)
        headers = {**HEADERS, "x-accel-buffering": "no"}
        return StreamingResponse(_events(first, responses), media_type="text/event-stream", headers=headers)

    return answer


async def _events(first: Message | None, responses: AsyncGenerator[Message, None]) -> AsyncIterator[str]:
    try:
        if first is None:
            return
        yield _event(first)
        async for response in responses:
            yield _event(response)
    except Exception as error:  # noqa: BLE001  # the boundary: the status is sent already
        status, message = status_of(error)
        yield f"event: error\ndata: {json.dumps({'code': status.grpc.name, 'message': message})}\n\n"
    finally:
        await responses.aclose()


def _event(response: Message) -> str:
    """Return the text of one event, with an `id` where the response has an `event_id`.

    A browser sends the last `id` when it connects again.
    """
    event_id = getattr(response, "event_id", "")
    return f"{f'id: {event_id}' + chr(10) if event_id else ''}data: {_json(response)}\n\n"


def _resumed(request: Request, method: Method) -> dict[str, object]:
    """Return the field `after` from the header in which a browser sends the id of the last event."""
    last = request.headers.get("last-event-id", "")
    if last and "after" in method.descriptor.input_type.fields_by_name:
        return {"after": [last] if request.method == "GET" else last}
    return {}


def _json(response: Message) -> str:
    return json_format.MessageToJson(
        response, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
    )


def _index_endpoint(dispatcher: Dispatcher) -> Endpoint:
    """Return an endpoint that names all methods and the fields of their requests."""
    fields = {
        method.name: [field.name for field in method.descriptor.input_type.fields] for method in dispatcher.methods
    }

    async def answer(request: Request) -> Response:
        return JSONResponse({"methods": fields}, headers=HEADERS)

    return answer
