"""Serves exports over HTTP as plain bytes: `GET` or `POST /api/v1/export/points`, `/api/v1/export/<table>`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

import structlog
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from runstream_proto.v1 import export_pb2 as pb
from runstream_query.base.errors import ClientGoneError, UnknownNameError, status_of
from runstream_query.export import file_parts
from runstream_query.methods.method_table import StreamingMethod
from runstream_query.transport.client_gone import unless_gone
from runstream_query.transport.dispatcher import Dispatcher
from runstream_query.transport.http.forms import read_into
from runstream_query.transport.http.request_credentials import SessionGuard
from runstream_query.transport.http.response_headers import HEADERS, failure

LOG = structlog.get_logger()


def download_routes(dispatcher: Dispatcher, guard: SessionGuard) -> list[BaseRoute]:
    """Return the routes of exports."""

    async def answer(request: Request) -> Response | Download:
        try:
            name = request.path_params["what"]
            method, message = _export_request(dispatcher, name)
            credential = guard.credential(request)
            await dispatcher.admit(method, credential)
            await read_into(message, request)
            kind = file_parts.file_format(message.format)
            chunks = dispatcher.stream(method, credential, message)
            # An invalid request gets a status. A client that leaves while it waits for a place leaves the queue too.
            first = await unless_gone(request.receive, _first(chunks))
        except ClientGoneError:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            return failure(error)
        headers = {
            **HEADERS,
            "content-type": kind.media_type,
            "content-disposition": f'attachment; filename="{message.project}-{name}.{kind.suffix}"',
            "x-accel-buffering": "no",
        }
        return Download(first, chunks, headers)

    return [Route("/api/v1/export/{what}", answer, methods=["GET", "POST"])]


class Download:
    """Sends a file piece by piece.

    A file that breaks off has no proper end, so that no client takes it for complete. A client that goes away, or that
    reads nothing, ends the query.
    """

    def __init__(self, first: bytes, chunks: AsyncGenerator[Message, None], headers: Mapping[str, str]) -> None:
        self._first = first
        self._chunks = chunks
        self._headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await unless_gone(receive, self._send(send))
        except ClientGoneError:
            return
        finally:
            await self._chunks.aclose()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        try:
            await self._part(send, self._first)
            async for chunk in self._chunks:
                await self._part(send, _data(chunk))
        except Exception as error:  # noqa: BLE001  # the boundary: the status is sent already
            LOG.warning("export broken off", reason=status_of(error)[1])
            return
        await send({"type": "http.response.body", "body": b""})

    async def _part(self, send: Send, data: bytes) -> None:
        async with asyncio.timeout(file_parts.TAKEN_WITHIN_S):
            await send({"type": "http.response.body", "body": data, "more_body": True})


async def _first(chunks: AsyncGenerator[Message, None]) -> bytes:
    return _data(await anext(chunks, pb.ExportChunk()))


def _data(chunk: Message) -> bytes:
    assert isinstance(chunk, pb.ExportChunk)
    return chunk.data


def _export_request(
    dispatcher: Dispatcher, name: str
) -> tuple[StreamingMethod, pb.ExportPointsRequest | pb.ExportRowsRequest]:
    """Return the method that exports `name`, and an empty request for it. Raises UnknownNameError."""
    if name == "points":
        return dispatcher.methods.streaming("ExportPoints"), pb.ExportPointsRequest()
    numbers = {table: number for number, table in file_parts.TABLES.items()}
    if name not in numbers:
        raise UnknownNameError(f"there is no {name[:40]!r} to export: points, {', '.join(numbers)}")
    return dispatcher.methods.streaming("ExportRows"), pb.ExportRowsRequest(table=numbers[name])
