"""Serve agents: leases, heartbeats and ends are gathered by sweep; agents that wait are woken on a change."""

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
_LOOK_AGAIN_S = 1.0
"""A waiting agent looks again after so many seconds in any case: another server may have changed something."""
_IDLE_LANES = 2000
_PATIENCE_S = 0.05
"""How many seconds to wait before a search that found nothing is asked again."""


@dataclass(frozen=True, slots=True)
class Beats:
    agent: str
    beats: Sequence[Heartbeat]


class AgentCoordinator:
    """Serves the calls of agents whose permissions were checked."""

    def __init__(self, store: SweepStore, book: SweepCache, metrics: Metrics) -> None:
        self._store = store
        self._book = book
        self._metrics = metrics
        self._leases: dict[str, GroupCommit[LeaseRequest, LeaseAnswer]] = {}
        self._others: dict[str, GroupCommit[Beats | TrialEnd, HeartbeatResult | TrialEndResult | None]] = {}
        self._arrivals: dict[str, GroupCommit[Registration, AgentRow | None]] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._waiting = 0

    async def register(self, sweep: str, call: Registration) -> AgentRow | None:
        """Register an agent; return None if there is no such sweep any more."""
        row = await self._lane(self._arrivals, sweep, self._register_all).ask(call)
        if row is not None:
            self._book.met(row)
        return row

    async def lease(self, sweep: str, ask: LeaseRequest, wait_s: float) -> LeaseAnswer:
        """Lease trials; wait for them up to `wait_s` seconds, unless too many agents wait already."""
        until_s = time.monotonic() + wait_s
        while True:
            changed = self._changed.setdefault(sweep, asyncio.Event())
            answer = await self._lane(self._leases, sweep, self._lease_all).ask(ask)
            left_s = until_s - time.monotonic()
            final = answer.verdict in (Verdict.GO, Verdict.STOP) or left_s <= 0 or self._waiting >= MAX_WAITING
            if final:
                self._metrics.counter("runstream_query_sweep_leases_total", verdict=answer.verdict.value).inc()
                return answer
            self._waiting += 1
            pause_s = _PATIENCE_S if answer.verdict is Verdict.AGAIN else _LOOK_AGAIN_S
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left_s, pause_s))
            finally:
                self._waiting -= 1

    async def beat(self, sweep: str, agent: str, beats: Sequence[Heartbeat]) -> HeartbeatResult:
        answer = await self._lane(self._others, sweep, self._others_all).ask(Beats(agent, beats))
        assert isinstance(answer, HeartbeatResult)
        return answer

    async def end(self, sweep: str, end: TrialEnd) -> TrialEndResult | None:
        """End a trial; return None if there is no such trial."""
        answer = await self._lane(self._others, sweep, self._others_all).ask(end)
        assert not isinstance(answer, HeartbeatResult)
        if answer is not None:
            self._metrics.counter("runstream_query_sweep_trials_ended_total", outcome=end.outcome.value).inc()
            self.wake(sweep)
        return answer

    def wake(self, sweep: str) -> None:
        """Wake the agents that wait for the sweep, so that they look again."""
        changed = self._changed.pop(sweep, None)
        if changed is not None:
            changed.set()

    def _lane(
        self,
        lanes: dict[str, GroupCommit[_Call, _Result]],
        sweep: str,
        carry_out: Callable[[str, Sequence[_Call]], Awaitable[Sequence[_Result]]],
    ) -> GroupCommit[_Call, _Result]:
        if sweep not in lanes:
            if len(lanes) > _IDLE_LANES:
                for name in [name for name, lane in lanes.items() if lane.idle]:
                    del lanes[name]

            lanes[sweep] = GroupCommit(partial(carry_out, sweep))
        return lanes[sweep]

    async def _register_all(self, sweep: str, calls: Sequence[Registration]) -> Sequence[AgentRow | None]:
        return await self._store.register(sweep, calls) or [None] * len(calls)

    async def _lease_all(self, sweep: str, asks: Sequence[LeaseRequest]) -> Sequence[LeaseAnswer]:
        entry = await self._book.entry(sweep)
        if entry is None:
            return [DELETED] * len(asks)
        self._metrics.histogram("runstream_query_sweep_leases_together").observe(len(asks))
        search = entry.search
        if search is None:
            assert entry.suggester is not None
            search = await entry.suggester.prepare(sum(ask.count for ask in asks))
        return await self._store.lease(sweep, asks, search)

    async def _others_all(
        self, sweep: str, calls: Sequence[Beats | TrialEnd]
    ) -> Sequence[HeartbeatResult | TrialEndResult | None]:
        """Carry out heartbeats and ends, the heartbeats first: no lease may expire behind a row of ends."""
        beats = [call for call in calls if isinstance(call, Beats)]
        ends = [call for call in calls if isinstance(call, TrialEnd)]
        beaten = iter(await self._store.beat(sweep, [(call.agent, call.beats) for call in beats]) if beats else ())
        entry = await self._book.entry(sweep)
        goals = entry.goals if entry is not None else ()
        ended = iter(await self._store.end(sweep, ends, goals) if ends else ())
        return [next(beaten) if isinstance(call, Beats) else next(ended) for call in calls]
