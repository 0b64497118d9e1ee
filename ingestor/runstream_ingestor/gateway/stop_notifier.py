"""Tell trials of sweeps that must stop, through their runs' own streams.

An agent learns of it by its heartbeat, and ends its program. This module reaches the processes that have no agent:
ranks on other nodes, and programs that ask for trials themselves. Every few seconds it asks the control database about
all trials that have a stream open here, by primary key. A gateway without such streams asks nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import structlog

from runstream_control.errors import ControlError
from runstream_control.sweeps.model import Cause
from runstream_control.sweeps.queries import SweepQueries
from runstream_ingestor.gateway.instruments import GatewayInstruments
from runstream_proto.v1 import ingest_pb2 as pb

LOG = structlog.get_logger()
CHECK_EVERY_S = 2.0
_TRIAL = re.compile(r"([a-z0-9]{8})-([1-9][0-9]{0,17})(?:-([1-9][0-9]{0,8}))?")
"""The name of a trial's run, as `control.sweeps.leases.run_name` makes it: sweep, number, attempt after the first."""


@dataclass(frozen=True, eq=False)
class _Subscriber:
    """A stream of a run that has a trial's name."""

    team: str
    project: str
    run: str
    attempt: int
    send: Callable[[pb.StopRun], None]


class _TrialRow(Protocol):
    """A row of `SweepQueries.standing`."""

    team: str
    project: str
    run: str
    attempt: int
    stop: str
    stop_reason: str


class StopNotifier:
    def __init__(self, store: SweepQueries, instruments: GatewayInstruments) -> None:
        self._store = store
        self._instruments = instruments
        self._subscribers: dict[tuple[str, int], set[_Subscriber]] = defaultdict(set)

    @contextlib.contextmanager
    def subscribed(self, team: str, project: str, run: str, send: Callable[[pb.StopRun], None]) -> Iterator[None]:
        """Within the context, call `send` at most once: when the run belongs to a trial that must stop."""
        named = _TRIAL.fullmatch(run)
        if named is None:
            yield
            return
        key = (named[1], int(named[2]))
        subscriber = _Subscriber(team, project, run, int(named[3] or 1), send)
        self._subscribers[key].add(subscriber)
        try:
            yield
        finally:
            self._forget(key, subscriber)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            try:
                await self.check()
            except ControlError as error:
                LOG.warning("trials that must stop could not be read", reason=str(error)[:300])
            except Exception as error:  # the loop's boundary: the next turn tries again
                LOG.error("the check for trials that must stop failed", exc_info=error)

    async def check(self) -> None:
        """Ask the control database about all subscribers once. Raise ControlError."""
        wanted: dict[str, list[int]] = defaultdict(list)
        for sweep, number in self._subscribers:
            wanted[sweep].append(number)
        if not wanted:
            return
        for row in await self._store.standing(wanted):
            key = (row.sweep, row.number)
            for subscriber in list(self._subscribers.get(key, ())):
                order = _order(row, subscriber)
                if order is not None:
                    self._forget(key, subscriber)
                    self._instruments.stop_told(order.cause)
                    subscriber.send(order)

    def _forget(self, key: tuple[str, int], subscriber: _Subscriber) -> None:
        subscribers = self._subscribers.get(key, set())
        subscribers.discard(subscriber)
        if not subscribers:
            self._subscribers.pop(key, None)


def _order(row: _TrialRow, subscriber: _Subscriber) -> pb.StopRun | None:
    """Return the order to stop, or None when the run goes on.

    The run may belong to another team, and its name only look like a trial's.
    """
    if (row.team, row.project) != (subscriber.team, subscriber.project):
        return None
    if row.run != subscriber.run:
        later = row.attempt > subscriber.attempt
        reason = f"attempt {row.attempt} of the trial runs elsewhere now"
        return pb.StopRun(cause=_name(Cause.LEASE_LOST), reason=reason) if later else None
    return pb.StopRun(cause=_name(Cause(row.stop)), reason=row.stop_reason) if row.stop else None


def _name(cause: Cause) -> str:
    return cause.name.lower()
