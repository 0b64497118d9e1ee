"""Decides which methods wait for a place, in which pool, and for whom the place counts."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from runstream_common.service.metrics import Metrics
from runstream_control.principal import Principal
from runstream_query.base.caller import CALLER, Caller
from runstream_query.base.fair_queue import FairQueue, QueueShares
from runstream_query.sqlaccess.limits import SqlLimits

FREE = frozenset(
    {
        # These are answered from memory or from a few rows of the control database.
        *("WhoAmI", "GetAccount", "ListApiKeys", "CreateApiKey", "RevokeApiKey"),
        *("ListSaved", "GetSaved", "CreateSaved", "UpdateSaved", "DeleteSaved", "RestoreSaved"),
        *("UpdateProject", "SetRetention", "ListChanges"),
        # Agents of sweeps call these by the thousand, all as one user, and some calls wait half a minute by design.
        *("CreateSweep", "GetSweep", "ListSweeps", "UpdateSweep", "CommandSweep", "DeleteSweep", "ListSweepChanges"),
        *("RegisterAgent", "ListAgents", "LeaseTrials", "Heartbeat", "EndTrial", "ReportValues", "AddTrials"),
        # A stream is open for hours. The server reads for it on its own account, once for each project.
        "WatchRuns",
        # SQL of users has a pool of its own, which `/clickhouse/` uses too: see `sqlaccess/runner.py`.
        "RunSql",
    }
)
"""Methods that wait for no place. A new method waits for one until it is listed here."""
EXPORTS = frozenset({"ExportPoints", "ExportRows"})
EXPORT_SHARES = QueueShares(per_user=3, per_team=4, in_all=4, reserved=1, waiting=16, wait_s=30.0, noun="exports")
"""Limits of exports. An export holds a thread of the engine while its client reads, so exports have their own pool."""
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

    def __init__(self, questions: RequestLimits, sql: SqlLimits, metrics: Metrics) -> None:
        everywhere: Counter[str] = Counter()
        self.questions = FairQueue(questions.shares(), "questions", metrics, everywhere)
        self.runs = FairQueue(RUN_SHARES, "runs", metrics, everywhere)
        self.exports = FairQueue(EXPORT_SHARES, "exports", metrics, everywhere)
        self.sql = FairQueue(sql.shares, "sql", metrics, everywhere)
        self.engine = FairQueue(questions.engine_shares(), "engine", metrics)
        """The places that `Storage` takes for its queries."""

    @contextlib.asynccontextmanager
    async def place(self, method: str, principal: Principal, request: Any) -> AsyncIterator[None]:
        """Wait until it is the caller's turn, and count the queries inside as the caller's. Raises NoPlaceError."""
        asker, pool = Caller(principal.user, principal.default_team), self.questions
        if method in FREE:
            CALLER.set(None)
            yield
            return
        if method in EXPORTS:
            pool = self.exports
        elif method == "GetRun" and request.omit_completeness:
            # The suffix gives these requests a queue of their own at the engine too.
            pool, asker = self.runs, replace(asker, user=f"{asker.user}\0runs")
        async with pool.of(principal.user, asker.team):
            CALLER.set(asker)
            yield


def _quarter(places: int) -> int:
    return places // 4
