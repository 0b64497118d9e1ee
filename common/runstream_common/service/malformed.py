"""Refuse requests that are no protobuf message of their method as the client's error, in one readable line.

grpc's asyncio server would answer them UNKNOWN, and log a traceback for each: anybody could fill a log this way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError

if TYPE_CHECKING:  # these classes take no parameters when the program runs
    _Context = grpc.aio.ServicerContext[object, object]
    _Handler = grpc.RpcMethodHandler[object, object]
_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class _Behaviours(Protocol):
    """The parts of an asynchronous handler; the types that grpc gives them are those of a blocking server.

    One of the four behaviours is not None.
    """

    request_deserializer: Callable[[bytes], object]
    response_serializer: Callable[[object], bytes]
    unary_unary: Callable[[object, _Context], Awaitable[object]] | None
    unary_stream: Callable[[object, _Context], AsyncGenerator[object, None]] | None
    stream_unary: Callable[[AsyncIterator[object], _Context], Awaitable[object]] | None
    stream_stream: Callable[[AsyncIterator[object], _Context], AsyncGenerator[object, None]] | None


@dataclass(frozen=True, slots=True)
class MalformedRequest:
    """The object that a method gets in place of a request that cannot be read."""

    message: str


def reading(parse: Callable[[bytes], _Request]) -> Callable[[bytes], _Request | MalformedRequest]:
    """Return a function like `parse` that returns `MalformedRequest` for bytes that it cannot read."""

    def parsed(data: bytes) -> _Request | MalformedRequest:
        try:
            return parse(data)
        except DecodeError as error:
            return MalformedRequest(f"the request cannot be read: {error}")

    return parsed


class RefuseMalformed(grpc.aio.ServerInterceptor):
    """Answer INVALID_ARGUMENT. The earlier effects of the method (of a stream's messages) stay."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[object, object]] = {}
        """By method: the server's handler, and the handler that was made from it."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[_Request, _Response] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[_Request, _Response] | None:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        known, made = self._made.get(handler_call_details.method, (None, None))
        if known is not handler:
            made = _refusing(cast("_Behaviours", handler))
            self._made[handler_call_details.method] = (handler, made)
        return cast("grpc.RpcMethodHandler[_Request, _Response]", made)


def _refusing(handler: _Behaviours) -> _Handler:
    parsed, serialize = reading(handler.request_deserializer), handler.response_serializer
    if handler.stream_stream:
        stream_stream = handler.stream_stream

        async def both(requests: AsyncIterator[object], context: _Context) -> AsyncIterator[object]:
            async with aclosing(stream_stream(_checked(requests, context), context)) as responses:
                async for response in responses:
                    yield response

        return grpc.stream_stream_rpc_method_handler(both, parsed, serialize)
    if handler.stream_unary:
        stream_unary = handler.stream_unary

        async def many(requests: AsyncIterator[object], context: _Context) -> object:
            return await stream_unary(_checked(requests, context), context)

        return grpc.stream_unary_rpc_method_handler(many, parsed, serialize)
    if handler.unary_stream:
        unary_stream = handler.unary_stream

        async def answers(request: object, context: _Context) -> AsyncIterator[object]:
            await _check(request, context)
            async with aclosing(unary_stream(request, context)) as responses:
                async for response in responses:
                    yield response

        return grpc.unary_stream_rpc_method_handler(answers, parsed, serialize)
    assert handler.unary_unary is not None
    unary_unary = handler.unary_unary

    async def one(request: object, context: _Context) -> object:
        await _check(request, context)
        return await unary_unary(request, context)

    return grpc.unary_unary_rpc_method_handler(one, parsed, serialize)


async def _checked(requests: AsyncIterator[object], context: _Context) -> AsyncIterator[object]:
    async for request in requests:
        await _check(request, context)
        yield request


async def _check(request: object, context: _Context) -> None:
    if isinstance(request, MalformedRequest):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, request.message)
