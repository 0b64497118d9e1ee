"""Serve agents: gather their leases, heartbeats and ends by sweep; wake waiting agents when the sweep changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from runstream_common.service.metrics import Metrics
from runstream_control.sweeps.ledger import DELETED
from runstream_control.sweeps.model import (
    AgentRow,
    Heartbeat,
    HeartbeatResult,
    LeaseAnswer,
    LeaseRequest,
    Registration,
    TrialEnd,
    TrialEndResult,
    Verdict,
)
from runstream_control.sweeps.sweep_store import SweepStore
from runstream_query.sweeps.group_commit import GroupCommit
from runstream_query.sweeps.limits import MAX_WAITING
from runstream_query.sweeps.sweep_cache import SweepCache

_Call = TypeVar("_Call")
_Result = TypeVar("_Result")
_RECHECK_EVERY_S = 1.0
"""Seconds after which a waiting agent checks again without a signal: another server may have changed the sweep."""
_MAX_IDLE_GROUPS = 2000
_RETRY_AFTER_S = 0.05
"""Seconds to wait before a search that found nothing is tried again."""


@dataclass(frozen=True, slots=True)
class AgentHeartbeats:
    agent: str
    beats: Sequence[Heartbeat]


class AgentCoordinator:
    """Serves the calls of agents whose permissions were checked."""

    def __init__(self, store: SweepStore, cache: SweepCache, metrics: Metrics) -> None:
        self._store = store
        self._cache = cache
        self._metrics = metrics
        self._leases: dict[str, GroupCommit[LeaseRequest, LeaseAnswer]] = {}
        self._reports: dict[str, GroupCommit[AgentHeartbeats | TrialEnd, HeartbeatResult | TrialEndResult | None]] = {}
        self._registrations: dict[str, GroupCommit[Registration, AgentRow | None]] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._waiting = 0

    async def register(self, sweep: str, call: Registration) -> AgentRow | None:
        """Register an agent; return None if there is no such sweep any more."""
        row = await self._group(self._registrations, sweep, self._register_all).submit(call)
        if row is not None:
            self._cache.remember(row)
        return row

    async def lease(self, sweep: str, request: LeaseRequest, wait_s: float) -> LeaseAnswer:
        """Lease trials; wait for them up to `wait_s` seconds, unless too many agents wait already."""
        until_s = time.monotonic() + wait_s
        while True:
            changed = self._changed.setdefault(sweep, asyncio.Event())
            answer = await self._group(self._leases, sweep, self._lease_all).submit(request)
            left_s = until_s - time.monotonic()
            final = answer.verdict in (Verdict.GO, Verdict.STOP) or left_s <= 0 or self._waiting >= MAX_WAITING
            if final:
                self._metrics.counter("runstream_query_sweep_leases_total", verdict=answer.verdict.value).inc()
                return answer
            self._waiting += 1
            pause_s = _RETRY_AFTER_S if answer.verdict is Verdict.AGAIN else _RECHECK_EVERY_S
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left_s, pause_s))
            finally:
                self._waiting -= 1

    async def beat(self, sweep: str, agent: str, beats: Sequence[Heartbeat]) -> HeartbeatResult:
        answer = await self._group(self._reports, sweep, self._report_all).submit(AgentHeartbeats(agent, beats))
        assert isinstance(answer, HeartbeatResult)
        return answer

    async def end(self, sweep: str, end: TrialEnd) -> TrialEndResult | None:
        """End a trial; return None if there is no such trial."""
        answer = await self._group(self._reports, sweep, self._report_all).submit(end)
        assert not isinstance(answer, HeartbeatResult)
        if answer is not None:
            self._metrics.counter("runstream_query_sweep_trials_ended_total", outcome=end.outcome.value).inc()
            self.wake(sweep)
        return answer

    def wake(self, sweep: str) -> None:
        """Wake the agents that wait for the sweep, so that they request trials again."""
        changed = self._changed.pop(sweep, None)
        if changed is not None:
            changed.set()

    def _group(
        self,
        groups: dict[str, GroupCommit[_Call, _Result]],
        sweep: str,
        carry_out: Callable[[str, Sequence[_Call]], Awaitable[Sequence[_Result]]],
    ) -> GroupCommit[_Call, _Result]:
        if sweep not in groups:
            if len(groups) > _MAX_IDLE_GROUPS:
                for name in [name for name, group in groups.items() if group.idle]:
                    del groups[name]

            groups[sweep] = GroupCommit(partial(carry_out, sweep))
        return groups[sweep]

    async def _register_all(self, sweep: str, calls: Sequence[Registration]) -> Sequence[AgentRow | None]:
        return await self._store.register(sweep, calls) or [None] * len(calls)

    async def _lease_all(self, sweep: str, requests: Sequence[LeaseRequest]) -> Sequence[LeaseAnswer]:
        entry = await self._cache.entry(sweep)
        if entry is None:
            return [DELETED] * len(requests)
        self._metrics.histogram("runstream_query_sweep_leases_together").observe(len(requests))
        search = entry.search
        if search is None:
            assert entry.suggester is not None
            search = await entry.suggester.prepare(sum(request.count for request in requests))
        return await self._store.lease(sweep, requests, search)

    async def _report_all(
        self, sweep: str, calls: Sequence[AgentHeartbeats | TrialEnd]
    ) -> Sequence[HeartbeatResult | TrialEndResult | None]:
        """Carry out heartbeats and ends, the heartbeats first: no lease may expire while ends are processed."""
        beats = [call for call in calls if isinstance(call, AgentHeartbeats)]
        ends = [call for call in calls if isinstance(call, TrialEnd)]
        heartbeat_results = iter(
            await self._store.beat(sweep, [(call.agent, call.beats) for call in beats]) if beats else ()
        )
        entry = await self._cache.entry(sweep)
        goals = entry.goals if entry is not None else ()
        end_results = iter(await self._store.end(sweep, ends, goals) if ends else ())
        return [next(heartbeat_results) if isinstance(call, AgentHeartbeats) else next(end_results) for call in calls]
