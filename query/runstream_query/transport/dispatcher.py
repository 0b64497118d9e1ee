"""Answers requests of every transport: authenticates callers, admits, dispatches, counts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator

import structlog
from google.protobuf.message import Message

from runstream_common.service.metrics import Metrics
from runstream_control.errors import PermissionDeniedError
from runstream_control.principal import Principal
from runstream_query.base.errors import GoingAwayError, status_of
from runstream_query.methods.method_table import Method, StreamingMethod, UnaryMethod
from runstream_query.methods.query_service import QueryService
from runstream_query.transport.credentials import Authenticators, Credential
from runstream_query.transport.request_queues import RequestQueues
from runstream_query.transport.requests import check_texts

LOG = structlog.get_logger()
RECHECK_S = 5.0
"""Seconds between checks of the key of an open stream.

With the authenticator's memory of 10 s, the streams of a revoked key end within 15 s.
"""


class Dispatcher:
    """Answers requests of every transport: authenticates, dispatches, counts, and logs the server's own errors."""

    def __init__(
        self, service: QueryService, authenticators: Authenticators, metrics: Metrics, queues: RequestQueues
    ) -> None:
        self.methods = service.methods
        self._service = service
        self._queues = queues
        self._authenticators = authenticators
        self._metrics = metrics
        self._carried: set[asyncio.Task[Message]] = set()

    async def admit(self, method: Method, credential: Credential) -> None:
        """Return when the caller is authenticated. Call it before the body of the request is read.

        Raises what `errors.status_of` knows.
        """
        try:
            await self._authenticators.authenticate(credential)
        except Exception:
            with self._counting(method.name):
                raise

    async def call(self, method: UnaryMethod, credential: Credential, request: Message) -> Message:
        """Return the response of a method that does not stream. Raises what `errors.status_of` knows."""
        async with contextlib.AsyncExitStack() as held:
            held.enter_context(self._counting(method.name))
            principal = await held.enter_async_context(self._admitted(method, credential, request))
            work = method.handler(principal, request)
            if not method.is_carried_through:
                return await work
            # The work holds its place until it is complete.
            task = asyncio.create_task(_carry(held.pop_all(), work))
        self._carried.add(task)
        task.add_done_callback(self._carried.discard)
        return await asyncio.shield(task)

    async def stream(
        self, method: StreamingMethod, credential: Credential, request: Message
    ) -> AsyncGenerator[Message, None]:
        """Yield the responses of a method that streams; closing the generator ends the work.

        Raises what `errors.status_of` knows, before the first response or in mid-stream.
        """
        with self._counting(method.name, stream=True):
            async with (
                self._admitted(method, credential, request) as principal,
                contextlib.aclosing(method.handler(principal, request)) as responses,
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
            return await self._service.project(principal, team, project)

    @contextlib.asynccontextmanager
    async def opened(self, name: str, credential: Credential) -> AsyncIterator[Principal]:
        """Authenticate the caller of a response that is sent inside the block. Raises what `errors.status_of` knows.

        `name`: the name of the request in metrics and logs.
        """
        with self._counting(name):
            yield await self._authenticators.authenticate(credential)

    async def _recheck(self, credential: Credential, principal: Principal) -> None:
        """Raise AuthenticationError or PermissionDeniedError where the key has lost a right since the stream began."""
        now = await self._authenticators.authenticate(credential)
        if not all(now.can_read(team) for team in principal.roles):
            raise PermissionDeniedError("what this key may read has changed: ask again")

    @contextlib.asynccontextmanager
    async def _admitted(self, method: Method, credential: Credential, request: Message) -> AsyncIterator[Principal]:
        """Authenticate the caller, check the request, and hold a place inside the block."""
        principal = await self._authenticators.authenticate(credential)
        check_texts(request)
        async with self._queues.place(method, principal, request):
            yield principal

    @contextlib.contextmanager
    def _counting(self, name: str, *, stream: bool = False) -> Iterator[None]:
        started = time.perf_counter()
        outcome = "ok"
        if stream:
            self._metrics.gauge("runstream_query_streams_open", method=name).inc()
        try:
            yield
        except (GeneratorExit, asyncio.CancelledError):
            outcome = "cancelled"
            raise
        except Exception as error:
            status, message = status_of(error)
            outcome = status.grpc.name.lower()
            if status.http >= 500 and not isinstance(error, GoingAwayError):
                LOG.error("question failed", method=name, reason=message, exc_info=error)
            raise
        finally:
            self._metrics.counter("runstream_query_requests_total", method=name, status=outcome).inc()
            if stream:  # the duration of a stream is the client's choice, not ours
                self._metrics.gauge("runstream_query_streams_open", method=name).dec()
            else:
                self._metrics.histogram("runstream_query_seconds", method=name).observe(time.perf_counter() - started)


async def _carry(held: contextlib.AsyncExitStack, work: Awaitable[Message]) -> Message:
    async with held:
        return await work
