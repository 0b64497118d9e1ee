"""Refuse requests that are no protobuf message of their method as the client's error, in one readable line.

grpc's asyncio server would answer them UNKNOWN, and log a traceback for each: anybody could fill a log this way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError


@dataclass(frozen=True, slots=True)
class MalformedRequest:
    """The object that a method gets in place of a request that cannot be read."""

    words: str


def reading(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return a function like `parse` that returns `MalformedRequest` for bytes that it cannot read."""

    def parsed(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError as error:
            return MalformedRequest(f"the request cannot be read: {error}")

    return parsed


class RefuseMalformed(grpc.aio.ServerInterceptor):
    """Answer INVALID_ARGUMENT. The earlier effects of the method (of a stream's messages) stay."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Any, Any]] = {}
        """By method: the server's handler, and the handler that was made from it."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None:
            return None
        known, made = self._made.get(details.method, (None, None))
        if known is not handler:
            made = _refusing(handler)
            self._made[details.method] = (handler, made)
        return made


def _refusing(handler: Any) -> Any:
    parsed = reading(handler.request_deserializer)
    make, behaviour = _wrapped(handler)
    return make(behaviour, request_deserializer=parsed, response_serializer=handler.response_serializer)


def _wrapped(handler: Any) -> tuple[Any, Any]:
    if handler.stream_stream:
        stream_stream = handler.stream_stream

        async def both(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            async with aclosing(stream_stream(_checked(requests, context), context)) as responses:
                async for response in responses:
                    yield response

        return grpc.stream_stream_rpc_method_handler, both
    if handler.stream_unary:
        stream_unary = handler.stream_unary

        async def many(requests: AsyncIterator[Any], context: Any) -> Any:
            return await stream_unary(_checked(requests, context), context)

        return grpc.stream_unary_rpc_method_handler, many
    if handler.unary_stream:
        unary_stream = handler.unary_stream

        async def answers(request: Any, context: Any) -> AsyncIterator[Any]:
            await _check(request, context)
            async with aclosing(unary_stream(request, context)) as responses:
                async for response in responses:
                    yield response

        return grpc.unary_stream_rpc_method_handler, answers
    unary_unary = handler.unary_unary

    async def one(request: Any, context: Any) -> Any:
        await _check(request, context)
        return await unary_unary(request, context)

    return grpc.unary_unary_rpc_method_handler, one


async def _checked(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
    async for request in requests:
        await _check(request, context)
        yield request


async def _check(request: Any, context: Any) -> None:
    if isinstance(request, MalformedRequest):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, request.words)
