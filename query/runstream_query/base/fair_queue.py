"""Shares a scarce resource between users and teams: the user who holds the fewest places is next."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count

from prometheus_client import Gauge

from runstream_common.service.metrics import Metrics
from runstream_query.base.errors import NoPlaceError


@dataclass(frozen=True, slots=True)
class QueueShares:
    """Limits of one pool of places. All keys of a user count together."""

    per_user: int
    """Places of one user at once."""
    per_team: int
    """Places of one team at once: of all users whose first team it is."""
    in_all: int
    reserved: int = 0
    """Places of `in_all` and of `per_team` that only users without a place get.

    So a user who asks one thing at a time need not wait for users who ask for many.
    """
    waiting: int = 256
    """Requests of one user that may wait at once; further ones are refused."""
    wait_s: float | None = 20.0
    """Seconds that a request waits for a place; None: as long as the caller stays."""
    noun: str = "queries"
    """The word for what holds a place, in messages of refusals."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    team: str
    turn: asyncio.Future[None]


class FairQueue:
    """One pool of places, for one event loop.

    The user with the fewest places is next, then the team with the fewest, then the user whose last turn is the longest
    ago. So users with many requests take turns.
    """

    def __init__(
        self,
        shares: QueueShares,
        pool: str = "",
        metrics: Metrics | None = None,
        everywhere: Counter[str] | None = None,
    ) -> None:
        """Create a pool.

        `pool`: the name of the pool in the metrics. `everywhere`: places by user, shared by several pools: where two
        users are equal in this pool, the user with fewer places in all pools is next.
        """
        self._shares = shares
        self._pool = pool
        self._metrics = metrics or Metrics(["query"])
        self._everywhere = Counter[str]() if everywhere is None else everywhere
        self._queues: dict[str, deque[_Waiting]] = {}
        """Waiting requests by user, in the order of arrival; no queue is empty. The first request may have to wait."""
        self._turns: dict[str, int] = {}
        """The time on `_clock` at which each waiting user arrived, or had the last turn."""
        self._clock = count()
        self._users: Counter[str] = Counter()
        self._teams: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def of(self, user: str, team: str) -> AsyncIterator[None]:
        """Wait for a place, and hold it inside the block. A caller that is cancelled leaves the queue.

        Raises NoPlaceError when too many requests of the user wait already, or when no place comes free in time.
        """
        started = time.perf_counter()
        await self._enter(user, team)
        try:
            self._metrics.histogram("runstream_query_places_seconds", pool=self._pool).observe(
                time.perf_counter() - started
            )
            yield
        finally:
            self._leave(user, team)

    async def _enter(self, user: str, team: str) -> None:
        if user not in self._queues and self._may(user, team):
            self._take(user, team)
            return
        if len(self._queues.get(user, ())) >= self._shares.waiting:
            raise self._refused("waiting", self._too_many())
        one = _Waiting(team, asyncio.get_running_loop().create_future())
        self._queues.setdefault(user, deque()).append(one)
        self._turns.setdefault(user, next(self._clock))
        self._gauge("waiting").inc()
        try:
            await asyncio.wait({one.turn}, timeout=self._shares.wait_s)
        except asyncio.CancelledError:
            if one.turn.done():
                self._leave(user, team)
            else:
                self._forget(user, one)
            raise
        if not one.turn.done():
            self._forget(user, one)
            raise self._refused("time", self._reason(user, team))

    def _may(self, user: str, team: str) -> bool:
        shares, mine = self._shares, self._users[user]
        room = shares.reserved if mine else 0
        return (
            mine < shares.per_user
            and self._teams[team] + room < shares.per_team
            and self._users.total() + room < shares.in_all
        )

    def _take(self, user: str, team: str) -> None:
        for counter, name in ((self._users, user), (self._teams, team), (self._everywhere, user)):
            counter[name] += 1
        self._gauge("taken").inc()

    def _leave(self, user: str, team: str) -> None:
        for counter, name in ((self._users, user), (self._teams, team), (self._everywhere, user)):
            counter[name] -= 1
            if not counter[name]:
                del counter[name]
        self._gauge("taken").dec()
        self._call()

    def _call(self) -> None:
        """Give the free places to waiting users."""
        while able := [user for user, queue in self._queues.items() if self._may(user, queue[0].team)]:
            user = min(able, key=self._rank)
            one = self._queues[user][0]
            self._remove(user, one)
            if user in self._turns:
                self._turns[user] = next(self._clock)
            self._take(user, one.team)
            one.turn.set_result(None)

    def _rank(self, user: str) -> tuple[int, int, int, int]:
        return (
            self._users[user],
            self._everywhere[user],
            self._teams[self._queues[user][0].team],
            self._turns[user],
        )

    def _forget(self, user: str, one: _Waiting) -> None:
        """Remove a request that stopped waiting from its queue."""
        self._remove(user, one)
        self._call()  # the user's next request may be for another team, which has room

    def _remove(self, user: str, one: _Waiting) -> None:
        self._queues[user].remove(one)
        if not self._queues[user]:
            del self._queues[user], self._turns[user]
        self._gauge("waiting").dec()

    def _gauge(self, what: str) -> Gauge:
        return self._metrics.gauge(f"runstream_query_places_{what}", pool=self._pool)

    def _refused(self, reason: str, message: str) -> NoPlaceError:
        self._metrics.counter("runstream_query_places_refused_total", pool=self._pool, reason=reason).inc()
        return NoPlaceError(message)

    def _too_many(self) -> str:
        shares = self._shares
        return (
            f"{shares.waiting} {shares.noun} of this user wait already, whatever the key: ask {shares.per_user} at a "
            "time, and the next when one is answered"
        )

    def _reason(self, user: str, team: str) -> str:
        shares = self._shares
        if self._users[user] >= shares.per_user:
            return f"this user has {shares.per_user} {shares.noun} running already: wait for them to end"
        if self._teams[team] + (shares.reserved if self._users[user] else 0) >= shares.per_team:
            return f"team {team} has {self._teams[team]} {shares.noun} running already: wait for them to end"
        return f"the server has {self._users.total()} {shares.noun} running already: wait for them to end"
