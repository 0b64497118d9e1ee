"""Serves every method over gRPC, and turns errors into statuses."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from runstream_common.service.tls import NEWCOMERS
from runstream_query.base.errors import SlowReaderError, status_of
from runstream_query.export import file_parts
from runstream_query.live.limits import MAX_WATCHERS
from runstream_query.sweeps.limits import MAX_WAITING
from runstream_query.transport.credentials import Credential, bearer
from runstream_query.transport.dispatcher import ACCOUNT_METHODS, METHODS, SWEEP_METHODS, Dispatcher
from runstream_query.transport.request_queues import EXPORTS, RUN_SHARES
from runstream_query.transport.requests import parse_request

MAX_CALLS = 256 + MAX_WATCHERS + 2 * MAX_WAITING + RUN_SHARES.waiting
"""Calls at once. Agents of sweeps hold one waiting call and send others beside it; ranks of starting jobs wait too."""
MAX_MESSAGE_BYTES = 256 << 20
"""Bytes of a response: a page of a million points takes 24 MB and more."""


def make_handlers(dispatcher: Dispatcher, methods: tuple[Any, ...]) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """Return the gRPC handlers of these methods, by name."""

    async def admitted(name: str, context: Any) -> Credential:
        credential = bearer(dict(context.invocation_metadata() or ()).get("authorization"))
        await dispatcher.admit(name, credential)
        return credential

    async def abort(context: Any, error: Exception) -> None:
        status, words = status_of(error)
        if hasattr(error, "retry_after_s"):
            context.set_trailing_metadata((("retry-after", str(error.retry_after_s)),))
        await context.abort(status.grpc, words)

    def method(name: str, read: Callable[[bytes], Any]) -> Callable[..., Awaitable[Any]]:
        async def call(data: bytes, context: Any) -> Any:
            try:
                credential = await admitted(name, context)
                return await dispatcher.ask(name, credential, read(data))
            except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
                await abort(context, error)
                raise AssertionError("abort returned") from error

        return call

    def streaming(name: str, read: Callable[[bytes], Any]) -> Callable[..., AsyncIterator[Any]]:
        async def call(data: bytes, context: Any) -> AsyncIterator[Any]:
            try:
                credential = await admitted(name, context)
                async with contextlib.aclosing(dispatcher.stream(name, credential, read(data))) as responses:
                    async for response in responses:
                        if name not in EXPORTS:
                            yield response
                            continue
                        async with _closed_if_slow(responses):
                            yield response
            except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
                await abort(context, error)

        return call

    def handler(descriptor: Any) -> grpc.RpcMethodHandler[Any, Any]:
        make, behaviour = (
            (grpc.unary_stream_rpc_method_handler, streaming)
            if descriptor.server_streaming
            else (grpc.unary_unary_rpc_method_handler, method)
        )
        asked, answered = map(GetMessageClass, (descriptor.input_type, descriptor.output_type))
        # The method parses the request itself, after the caller is authenticated.
        read = partial(parse_request, asked.FromString)
        return make(behaviour(descriptor.name, read), None, answered.SerializeToString)

    return {descriptor.name: handler(descriptor) for descriptor in methods}


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
    for methods in (SWEEP_METHODS, METHODS, ACCOUNT_METHODS):
        service = methods[0].containing_service.full_name
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, make_handlers(dispatcher, methods)),)
        )
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
