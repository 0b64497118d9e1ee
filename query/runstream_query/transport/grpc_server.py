"""Serves every method of the descriptors over gRPC: authenticates callers and translates errors."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from runstream_common.service.metrics import Metrics
from runstream_common.service.tls import NEWCOMERS
from runstream_control.errors import PermissionDeniedError
from runstream_control.principal import Principal
from runstream_proto.v1 import account_pb2, sweep_pb2
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.errors import GoingAwayError, InvalidRequestError, SlowReaderError, status_of
from runstream_query.export import file_parts
from runstream_query.live.limits import MAX_WATCHERS
from runstream_query.methods.query_service import QueryService
from runstream_query.runs.editing.limits import MAX_DESCRIPTION_BYTES, MAX_NOTES_BYTES, MAX_REPORT_BYTES
from runstream_query.runs.selection.filters import MAX_FILTER_CHARACTERS
from runstream_query.sweeps.limits import MAX_WAITING
from runstream_query.transport.client_gone import quiet_departures
from runstream_query.transport.credentials import Authenticators, Credential, bearer
from runstream_query.transport.request_queues import EXPORTS, RUN_SHARES, RequestQueues

LOG = structlog.get_logger()
METHODS = tuple(pb.DESCRIPTOR.services_by_name["QueryService"].methods)
SWEEP_METHODS = tuple(sweep_pb2.DESCRIPTOR.services_by_name["SweepService"].methods)
ACCOUNT_METHODS = tuple(account_pb2.DESCRIPTOR.services_by_name["AccountService"].methods)
CHANGES = frozenset(
    method.name
    for method in (*METHODS, *SWEEP_METHODS, *ACCOUNT_METHODS)
    if method.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS
)
"""Methods that change something: GET does not serve them, because others may repeat or prefetch a GET."""
_CARRIED_THROUGH = CHANGES - {"LeaseTrials"}
"""Methods that are completed also when their caller has gone.

LeaseTrials is not among them: trials that are leased to nobody would wait for the end of their lease.
"""
MAX_TEXT = 4096
"""Characters of any text in a request: a metric's name has 1024 bytes at most, and a page token holds one."""
LONG_TEXTS = {
    "filter": MAX_FILTER_CHARACTERS,
    "page_token": 65_536,
    "sql": 64 << 10,
    "definition_json": 256 << 10,
    "content": MAX_REPORT_BYTES,
    "notes": MAX_NOTES_BYTES,
    "description": MAX_DESCRIPTION_BYTES,
}
"""Fields that may be longer.

A page token holds the sort values of the last row. The definition of a sweep with a thousand parameters of some values
each takes 100 KiB.
"""
RECHECK_S = 5.0
"""Seconds between checks of the key of an open stream.

With the authenticator's memory of 10 s, the streams of a revoked key end within 15 s.
"""
MAX_CALLS = 256 + MAX_WATCHERS + 2 * MAX_WAITING + RUN_SHARES.waiting
"""Calls at once. Agents of sweeps hold one waiting call and send others beside it; ranks of starting jobs wait too."""
MAX_MESSAGE_BYTES = 256 << 20
"""Bytes of a response: a page of a million points takes 24 MB and more."""


class Dispatcher:
    """Answers requests of every transport: authenticates, dispatches, counts, and logs the server's own errors."""

    def __init__(
        self, answers: QueryService, authenticators: Authenticators, metrics: Metrics, admission: RequestQueues
    ) -> None:
        self._answers = answers
        self._admission = admission
        self._authenticators = authenticators
        self._metrics = metrics
        self._changes: set[asyncio.Future[Any]] = set()

    async def admit(self, method: str, credential: Credential) -> None:
        """Return when the caller is authenticated. Call it before the body of the request is read.

        Raises what `errors.status_of` knows.
        """
        try:
            await self._authenticators.authenticate(credential)
        except Exception:
            with self._counting(method):
                raise

    async def ask(self, method: str, credential: Credential, request: Any) -> Any:
        """Return the response of a method that does not stream. Raises what `errors.status_of` knows."""
        async with contextlib.AsyncExitStack() as held:
            held.enter_context(self._counting(method))
            principal = await held.enter_async_context(self._admitted(method, credential, request))
            answering = getattr(self._answers, method)(principal, request)
            if method not in _CARRIED_THROUGH:
                return await answering
            # A change holds its place until it is complete.
            change = asyncio.ensure_future(_carried(held.pop_all(), answering))
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)
        return await asyncio.shield(change)

    async def stream(self, method: str, credential: Credential, request: Any) -> AsyncIterator[Any]:
        """Yield the responses of a method that streams; closing the iterator ends the work.

        Raises what `errors.status_of` knows, before the first response or in mid-stream.
        """

        with self._counting(method, stream=True):
            async with (
                self._admitted(method, credential, request) as principal,
                contextlib.aclosing(getattr(self._answers, method)(principal, request)) as responses,
            ):
                checked_s = time.monotonic()
                async for response in responses:
                    if time.monotonic() - checked_s >= RECHECK_S:
                        await self._recheck(credential, principal)
                        checked_s = time.monotonic()
                    yield response

    async def media_project(self, credential: Credential, team: str, project: str) -> str:
        """Return `team/project`, which the caller may read. Raises what `errors.status_of` knows."""
        async with self.opened("Media", credential) as principal:
            return await self._answers.project(principal, team, project)

    @contextlib.asynccontextmanager
    async def opened(self, method: str, credential: Credential) -> AsyncIterator[Principal]:
        """Authenticate the caller of a response that is sent inside the block. Raises what `errors.status_of` knows."""
        with self._counting(method):
            yield await self._authenticators.authenticate(credential)

    async def _recheck(self, credential: Credential, principal: Principal) -> None:
        """Raise AuthenticationError or PermissionDeniedError where the key has lost a right since the stream began."""
        now = await self._authenticators.authenticate(credential)
        if not all(now.can_read(team) for team in principal.roles):
            raise PermissionDeniedError("what this key may read has changed: ask again")

    @contextlib.asynccontextmanager
    async def _admitted(self, method: str, credential: Credential, request: Any) -> AsyncIterator[Principal]:
        """Authenticate the caller, check the request, and hold a place inside the block."""
        principal = await self._authenticators.authenticate(credential)
        check_texts(request)
        async with self._admission.place(method, principal, request):
            yield principal

    @contextlib.contextmanager
    def _counting(self, method: str, *, stream: bool = False) -> Iterator[None]:
        started = time.perf_counter()
        outcome = "ok"
        if stream:
            self._metrics.gauge("runstream_query_streams_open", method=method).inc()
        try:
            yield
        except (GeneratorExit, asyncio.CancelledError):
            outcome = "cancelled"
            raise
        except Exception as error:
            status, words = status_of(error)
            outcome = status.grpc.name.lower()
            if status.http >= 500 and not isinstance(error, GoingAwayError):
                LOG.error("question failed", method=method, reason=words, exc_info=error)
            raise
        finally:
            self._metrics.counter("runstream_query_requests_total", method=method, status=outcome).inc()
            if stream:  # the duration of a stream is the client's choice, not ours
                self._metrics.gauge("runstream_query_streams_open", method=method).dec()
            else:
                self._metrics.histogram("runstream_query_seconds", method=method).observe(time.perf_counter() - started)


async def _carried(held: contextlib.AsyncExitStack, work: Awaitable[Any]) -> Any:
    async with held:
        return await work


@contextlib.contextmanager
def _taken_in_time(responses: AsyncIterator[Any]) -> Iterator[None]:
    """Limit the time in which a client takes a response of a stream. Raises SlowReaderError.

    A client that reads nothing ends the stream's work at that moment, not when it continues to read.
    """
    ending: list[asyncio.Future[None]] = []

    def end() -> None:
        ending.append(asyncio.ensure_future(responses.aclose()))  # type: ignore[attr-defined]  # an async generator

    timer = asyncio.get_running_loop().call_later(file_parts.TAKEN_WITHIN_S, end)
    try:
        yield
    finally:
        timer.cancel()
    if ending:
        raise SlowReaderError(file_parts.TAKEN_WITHIN_S)


def check_texts(request: Any) -> None:
    """Raise InvalidRequestError where a text of the request is too long or holds a NUL byte."""
    for field, value in request.ListFields():
        if field.cpp_type != field.CPPTYPE_STRING:
            continue
        for text in value if field.is_repeated else (value,):
            most = LONG_TEXTS.get(field.name, MAX_TEXT)
            if len(text) > most or "\0" in text:
                raise InvalidRequestError(f"{field.name}: a text of at most {most} characters without NUL")


def _message(parse: Callable[[bytes], Any], data: bytes) -> Any:
    """Parse a request. Raises InvalidRequestError."""
    try:
        return parse(data)
    except DecodeError as error:
        raise InvalidRequestError(f"the request cannot be read: {error}") from error


def make_handlers(desk: Dispatcher, methods: tuple[Any, ...]) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """Return the gRPC handlers of these methods, by name."""

    async def admitted(name: str, context: Any) -> Credential:
        credential = bearer(dict(context.invocation_metadata() or ()).get("authorization"))
        await desk.admit(name, credential)
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
                return await desk.ask(name, credential, read(data))
            except Exception as error:  # the boundary: everything becomes a status
                await abort(context, error)
                raise AssertionError("abort returned") from error

        return call

    def streaming(name: str, read: Callable[[bytes], Any]) -> Callable[..., AsyncIterator[Any]]:
        async def call(data: bytes, context: Any) -> AsyncIterator[Any]:
            try:
                credential = await admitted(name, context)
                async with contextlib.aclosing(
                    desk.stream(name, credential, read(data))  # type: ignore[type-var]
                ) as responses:
                    async for response in responses:
                        if name not in EXPORTS:
                            yield response
                            continue
                        with _taken_in_time(responses):
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
        read = partial(_message, asked.FromString)
        return make(behaviour(descriptor.name, read), None, answered.SerializeToString)

    return {descriptor.name: handler(descriptor) for descriptor in methods}


def make_server(desk: Dispatcher) -> grpc.aio.Server:
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
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, make_handlers(desk, methods)),))
    return server
