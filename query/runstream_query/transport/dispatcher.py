"""Answers requests of every transport: authenticates callers, admits, dispatches, counts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from typing import Any

import structlog
from google.protobuf.descriptor_pb2 import MethodOptions

from runstream_common.service.metrics import Metrics
from runstream_control.errors import PermissionDeniedError
from runstream_control.principal import Principal
from runstream_proto.v1 import account_pb2, sweep_pb2
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.errors import GoingAwayError, status_of
from runstream_query.methods.query_service import QueryService
from runstream_query.transport.credentials import Authenticators, Credential
from runstream_query.transport.request_queues import RequestQueues
from runstream_query.transport.requests import check_texts

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
RECHECK_S = 5.0
"""Seconds between checks of the key of an open stream.

With the authenticator's memory of 10 s, the streams of a revoked key end within 15 s.
"""


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

    async def stream(self, method: str, credential: Credential, request: Any) -> AsyncGenerator[Any, None]:
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
