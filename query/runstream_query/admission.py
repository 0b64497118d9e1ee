"""Which methods wait for a place, in which pool, and as whose."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from runstream_common.control.store import Principal
from runstream_common.metrics import Metrics
from runstream_query.asker import ASKER, Asker
from runstream_query.places import Places, Shares
from runstream_query.sqlaccess.limits import SqlLimits

FREE = frozenset(
    {
        # Answered from memory or from a few rows of the control database.
        *("WhoAmI", "GetAccount", "ListApiKeys", "CreateApiKey", "RevokeApiKey"),
        *("ListSaved", "GetSaved", "CreateSaved", "UpdateSaved", "DeleteSaved", "RestoreSaved"),
        *("UpdateProject", "SetRetention", "ListChanges"),
        # Agents of sweeps ask them by the thousand, as one user, and some wait half a minute by design.
        *("CreateSweep", "GetSweep", "ListSweeps", "UpdateSweep", "CommandSweep", "DeleteSweep", "ListSweepChanges"),
        *("RegisterAgent", "ListAgents", "LeaseTrials", "Heartbeat", "EndTrial", "ReportValues", "AddTrials"),
        # Open for hours; the questions behind it are one a project, and the server's own.
        "WatchRuns",
        # People's SQL has a pool of its own, behind `/clickhouse/` too: `sqlaccess/runner.py`.
        "RunSql",
    }
)
"""Methods that wait for no place. A method that is new waits for one, until it is written here."""
EXPORTS = frozenset({"ExportPoints", "ExportRows"})
EXPORT_SHARES = Shares(per_user=3, per_team=4, in_all=4, reserved=1, waiting=16, wait_s=30.0, noun="exports")
"""Each holds a thread of the engine as long as its client reads, so they have a pool of their own."""
RUN_SHARES = Shares(per_user=8, per_team=16, in_all=24, reserved=4, waiting=4096, wait_s=60.0, noun="questions")
"""Of questions for one run without a verdict: some reads by key. Each rank of a job asks one when it starts, all as one
user: a job of thousands must not be refused, nor stand behind the charts of its owner."""


@dataclass(frozen=True, slots=True)
class QuestionLimits:
    """Limits of what methods answer at once; people's SQL has its own."""

    per_user: int = 8
    """As many as the embedded engine has threads: a page of forty charts gets as much of a server as it could use."""
    per_team: int = 12
    in_all: int = 16
    waiting: int = 256
    """Of one user: more are a loop that asks without waiting for answers."""
    wait_s: float = 60.0
    """As long as the page waits for an answer."""
    engine: int = 16
    """Queries that the engine is asked at once for all of them: one chart of two hundred runs is two hundred."""

    def shares(self) -> Shares:
        return Shares(
            self.per_user, self.per_team, self.in_all, _quarter(self.in_all), self.waiting, self.wait_s, "questions"
        )

    def engine_shares(self) -> Shares:
        reserved = _quarter(self.engine)
        return Shares(max(self.engine - reserved, 1), self.engine, self.engine, reserved, 1 << 31, None)


class Admission:
    """The pools of one query service."""

    def __init__(self, questions: QuestionLimits, sql: SqlLimits, metrics: Metrics) -> None:
        everywhere: Counter[str] = Counter()
        self.questions = Places(questions.shares(), "questions", metrics, everywhere)
        self.runs = Places(RUN_SHARES, "runs", metrics, everywhere)
        self.exports = Places(EXPORT_SHARES, "exports", metrics, everywhere)
        self.sql = Places(sql.shares, "sql", metrics, everywhere)
        self.engine = Places(questions.engine_shares(), "engine", metrics)
        """For `Storage`."""

    @contextlib.asynccontextmanager
    async def place(self, method: str, principal: Principal, request: Any) -> AsyncIterator[None]:
        """Wait until it is the caller's turn; what is asked within counts as his. Raises NoPlaceError."""
        asker, pool = Asker(principal.user, principal.default_team), self.questions
        if method in FREE:
            ASKER.set(None)
            yield
            return
        if method in EXPORTS:
            pool = self.exports
        elif method == "GetRun" and request.omit_completeness:
            # A queue of its own at the engine too.
            pool, asker = self.runs, replace(asker, user=f"{asker.user}\0runs")
        async with pool.of(principal.user, asker.team):
            ASKER.set(asker)
            yield


def _quarter(places: int) -> int:
    return places // 4
