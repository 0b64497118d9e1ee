"""Serves every method over gRPC, and turns errors into statuses."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Never

import grpc
from google.protobuf.message import Message

from runstream_common.service.tls import NEWCOMERS
from runstream_query.base.errors import SlowReaderError, status_of
from runstream_query.export import file_parts
from runstream_query.live.limits import MAX_WATCHERS
from runstream_query.methods.method_table import Method, Queue, StreamingMethod, UnaryMethod
from runstream_query.sweeps.limits import MAX_WAITING
from runstream_query.transport.credentials import Credential, bearer
from runstream_query.transport.dispatcher import Dispatcher
from runstream_query.transport.request_queues import RUN_SHARES
from runstream_query.transport.requests import parse_request

MAX_CALLS = 256 + MAX_WATCHERS + 2 * MAX_WAITING + RUN_SHARES.waiting
"""Calls at once. Agents of sweeps hold one waiting call and send others beside it; ranks of starting jobs wait too."""
MAX_MESSAGE_BYTES = 256 << 20
"""Bytes of a response: a page of a million points takes 24 MB and more."""


if TYPE_CHECKING:  # these classes take no parameters when the program runs
    _Context = grpc.aio.ServicerContext[bytes, Message]
    _Handler = grpc.RpcMethodHandler[bytes, Message]


class _Handlers(grpc.GenericRpcHandler):
    """Finds the handler of a call by the path of its method."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._handlers = {method.path: _handler(dispatcher, method) for method in dispatcher.methods}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler | None:
        return self._handlers.get(handler_call_details.method)


def _handler(dispatcher: Dispatcher, method: UnaryMethod | StreamingMethod) -> _Handler:
    serialize = method.response_type.SerializeToString
    # The handler parses the request itself, after the caller is authenticated: gRPC gets no parser.
    if isinstance(method, UnaryMethod):
        return grpc.unary_unary_rpc_method_handler(_unary(dispatcher, method), None, serialize)
    return grpc.unary_stream_rpc_method_handler(_streaming(dispatcher, method), None, serialize)


def _unary(dispatcher: Dispatcher, method: UnaryMethod) -> Callable[[bytes, _Context], Awaitable[Message]]:
    async def call(data: bytes, context: _Context) -> Message:
        try:
            credential = await _admitted(dispatcher, method, context)
            return await dispatcher.call(method, credential, parse_request(method.request_type, data))
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            await _abort(context, error)

    return call


def _streaming(
    dispatcher: Dispatcher, method: StreamingMethod
) -> Callable[[bytes, _Context], AsyncGenerator[Message, None]]:
    async def call(data: bytes, context: _Context) -> AsyncGenerator[Message, None]:
        try:
            credential = await _admitted(dispatcher, method, context)
            request = parse_request(method.request_type, data)
            async with contextlib.aclosing(dispatcher.stream(method, credential, request)) as responses:
                async for response in responses:
                    if method.queue is not Queue.EXPORTS:
                        yield response
                        continue
                    async with _closed_if_slow(responses):
                        yield response
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            await _abort(context, error)

    return call


async def _admitted(dispatcher: Dispatcher, method: Method, context: _Context) -> Credential:
    """Return the credential of the caller, who is authenticated. Raises what `errors.status_of` knows."""
    metadata = dict(context.invocation_metadata() or ())
    credential = bearer(metadata.get("authorization"))
    await dispatcher.admit(method, credential)
    return credential


async def _abort(context: _Context, error: Exception) -> Never:
    """End the call with the status of the error."""
    status, message = status_of(error)
    if hasattr(error, "retry_after_s"):
        context.set_trailing_metadata((("retry-after", str(error.retry_after_s)),))
    await context.abort(status.grpc, message)
    raise AssertionError("abort returned") from error


def make_server(dispatcher: Dispatcher) -> grpc.aio.Server:
    quiet_departures()
    server = grpc.aio.server(
        options=[
            *NEWCOMERS,
            ("grpc.max_receive_message_length", 1 << 20),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            # Requests are small, so flow-control windows for them need not grow with the line. The pings that measure
            # the line are two messages a call when two hundred calls run at once: a tenth of the server's work.
            ("grpc.http2.bdp_probe", 0),
            # A client may send nothing on a stream for hours: keepalive notices within a minute that a client is gone.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ],
        maximum_concurrent_rpcs=MAX_CALLS,
    )
    # `add_..._to_server` registers the methods one by one too, and the asyncio server then waits for one future a
    # method in each call: with 68 methods a fifth of its work.
    server.add_generic_rpc_handlers((_Handlers(dispatcher),))
    return server


@contextlib.asynccontextmanager
async def _closed_if_slow(responses: AsyncGenerator[Message, None]) -> AsyncIterator[None]:
    """Limit the time in which a client takes a response of a stream. Raises SlowReaderError.

    A client that reads nothing ends the stream's work at that moment, not when it continues to read.
    """
    closing: list[asyncio.Task[None]] = []

    async def close() -> None:
        await responses.aclose()

    timer = asyncio.get_running_loop().call_later(
        file_parts.TAKEN_WITHIN_S, lambda: closing.append(asyncio.create_task(close()))
    )
    try:
        yield
    finally:
        timer.cancel()
    if closing:
        await closing[0]
        raise SlowReaderError(file_parts.TAKEN_WITHIN_S)


def quiet_departures() -> None:
    """Drop the traceback that grpc's asyncio server logs for each client that leaves while a message is sent to it."""
    logger = logging.getLogger("grpc._cython.cygrpc")
    if not any(isinstance(known, _Departures) for known in logger.filters):
        logger.addFilter(_Departures())


class _Departures(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("ExecuteBatchError raised in core")
