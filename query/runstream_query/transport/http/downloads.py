"""Serves exports over HTTP as plain bytes: `GET` or `POST /api/v1/export/points`, `/api/v1/export/<table>`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from runstream_proto.v1 import export_pb2 as pb
from runstream_query.base.errors import ClientGoneError, UnknownNameError, status_of
from runstream_query.export import file_parts
from runstream_query.transport.client_gone import unless_gone
from runstream_query.transport.dispatcher import Dispatcher

LOG = structlog.get_logger()


def download_routes(
    dispatcher: Dispatcher,
    read: Callable[[Any, Request], Awaitable[None]],
    credential: Callable[[Request], Any],
    failure: Callable[[Exception], Response],
    headers: Mapping[str, str],
) -> list[BaseRoute]:
    """Return the routes of exports.

    `read` fills a message with the fields of a request, `credential` returns the caller's credential, `failure` makes
    the response for an error.
    """

    async def answer(request: Request) -> Any:
        try:
            what = request.path_params["what"]
            method, question = _question(what)
            who = credential(request)
            await dispatcher.admit(method, who)
            await read(question, request)
            kind = file_parts.file_format(question.format)
            chunks = dispatcher.stream(method, who, question)
            # An invalid request gets a status. A client that leaves while it waits for a place leaves the queue too.
            first = await unless_gone(request.receive, _first(chunks))
        except ClientGoneError:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            return failure(error)
        shown = {
            **headers,
            "content-type": kind.media_type,
            "content-disposition": f'attachment; filename="{question.project}-{what}.{kind.suffix}"',
            "x-accel-buffering": "no",
        }
        return Download(first, chunks, shown)

    return [Route("/api/v1/export/{what}", answer, methods=["GET", "POST"])]


class Download:
    """Sends a file piece by piece.

    A file that breaks off has no proper end, so that no client takes it for complete. A client that goes away, or that
    reads nothing, ends the query.
    """

    def __init__(self, first: Any, chunks: AsyncGenerator[Any, None], headers: Mapping[str, str]) -> None:
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
            await self._part(send, self._first.data)
            async for chunk in self._chunks:
                await self._part(send, chunk.data)
        except Exception as error:  # noqa: BLE001  # the boundary: the status is sent already
            LOG.warning("export broken off", reason=status_of(error)[1])
            return
        await send({"type": "http.response.body", "body": b""})

    async def _part(self, send: Send, data: bytes) -> None:
        async with asyncio.timeout(file_parts.TAKEN_WITHIN_S):
            await send({"type": "http.response.body", "body": data, "more_body": True})


async def _first(chunks: AsyncIterator[Any]) -> Any:
    return await anext(chunks, pb.ExportChunk())


def _question(what: str) -> tuple[str, Any]:
    """Return the name of the method and an empty request for it. Raises UnknownNameError."""
    if what == "points":
        return "ExportPoints", pb.ExportPointsRequest()
    numbers = {name: number for number, name in file_parts.TABLES.items()}
    if what not in numbers:
        raise UnknownNameError(f"there is no {what[:40]!r} to export: points, {', '.join(numbers)}")
    return "ExportRows", pb.ExportRowsRequest(table=numbers[what])
