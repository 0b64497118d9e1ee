"""Decides in which pool a request waits for its place, and for whom the place counts."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from google.protobuf.message import Message

from runstream_common.service.metrics import Metrics
from runstream_control.principal import Principal
from runstream_proto.v1.query_pb2 import GetRunRequest
from runstream_query.base.caller import CALLER, Caller
from runstream_query.base.fair_queue import FairQueue, QueueShares
from runstream_query.methods.method_table import Method, Queue
from runstream_query.sqlaccess.limits import SqlLimits

EXPORT_SHARES = QueueShares(per_user=3, per_team=4, in_all=4, reserved=1, waiting=16, wait_s=30.0, noun="exports")
"""Limits of exports."""
RUN_SHARES = QueueShares(per_user=8, per_team=16, in_all=24, reserved=4, waiting=4096, wait_s=60.0, noun="questions")
"""Limits of requests for one run without a verdict, each of which reads a few rows by key.

Each rank of a job sends one when it starts, all as one user. A job of thousands of ranks must not be refused, nor wait
behind the charts of its owner.
"""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits on the requests that are answered at once. SQL of users has limits of its own."""

    per_user: int = 8
    """The number of threads of the embedded engine: a page of forty charts cannot use more of a server."""
    per_team: int = 12
    in_all: int = 16
    waiting: int = 256
    """Waiting requests of one user: more of them come from a loop that does not wait for its answers."""
    wait_s: float = 60.0
    """Seconds that a request waits for a place: the page waits for an answer as long."""
    engine: int = 16
    """Queries that the engine runs at once for all requests: a chart of two hundred runs takes two hundred queries."""

    def shares(self) -> QueueShares:
        return QueueShares(
            self.per_user, self.per_team, self.in_all, _quarter(self.in_all), self.waiting, self.wait_s, "questions"
        )

    def engine_shares(self) -> QueueShares:
        reserved = _quarter(self.engine)
        return QueueShares(max(self.engine - reserved, 1), self.engine, self.engine, reserved, 1 << 31, None)


class RequestQueues:
    """The pools of one query service."""

    def __init__(self, requests: RequestLimits, sql: SqlLimits, metrics: Metrics) -> None:
        everywhere: Counter[str] = Counter()
        self.requests = FairQueue(requests.shares(), "questions", metrics, everywhere)
        self.runs = FairQueue(RUN_SHARES, "runs", metrics, everywhere)
        self.exports = FairQueue(EXPORT_SHARES, "exports", metrics, everywhere)
        self.sql = FairQueue(sql.shares, "sql", metrics, everywhere)
        self.engine = FairQueue(requests.engine_shares(), "engine", metrics)
        """The places that `Storage` takes for its queries."""

    @contextlib.asynccontextmanager
    async def place(self, method: Method, principal: Principal, request: Message) -> AsyncIterator[None]:
        """Wait until it is the caller's turn, and count the queries inside as the caller's. Raises NoPlaceError."""
        if method.queue is Queue.NONE:
            CALLER.set(None)
            yield
            return
        caller, pool = Caller(principal.user, principal.default_team), self.requests
        if method.queue is Queue.EXPORTS:
            pool = self.exports
        elif isinstance(request, GetRunRequest) and request.omit_completeness:
            # The suffix gives these requests a queue of their own at the engine too.
            pool, caller = self.runs, replace(caller, user=f"{caller.user}\0runs")
        async with pool.of(principal.user, caller.team):
            CALLER.set(caller)
            yield


def _quarter(places: int) -> int:
    return places // 4
