"""Who may run a query now: users and teams share the places, and whoever has fewest is next."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from runstream_query.errors import TooExpensiveError
from runstream_query.sqlaccess.limits import SqlLimits


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    user: str
    team: str
    turn: asyncio.Future[None]


class Places:
    """For one event loop."""

    def __init__(self, limits: SqlLimits) -> None:
        self._limits = limits
        self._queue: list[_Waiting] = []
        """In the order of their coming."""
        self._users: Counter[str] = Counter()
        self._teams: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def of(self, user: str, team: str) -> AsyncIterator[None]:
        """Wait for a place. Raises TooExpensiveError when none comes free in time."""
        waiting = _Waiting(user, team, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._call()
        try:
            await asyncio.wait({waiting.turn}, timeout=self._limits.wait_s)
            if not waiting.turn.done():
                raise TooExpensiveError(self._reason(user, team), 202)
            yield
        finally:
            if waiting.turn.done():
                self._leave(waiting)
            else:
                self._queue.remove(waiting)

    def _call(self) -> None:
        """Give the places that are free: to the user who has fewest, then the team, then who came first."""
        while sum(self._users.values()) < self._limits.in_all:
            able = [one for one in self._queue if self._may(one)]
            if not able:
                return
            chosen = min(able, key=lambda one: (self._users[one.user], self._teams[one.team]))
            self._queue.remove(chosen)
            self._users[chosen.user] += 1
            self._teams[chosen.team] += 1
            chosen.turn.set_result(None)

    def _may(self, one: _Waiting) -> bool:
        limits = self._limits
        return self._users[one.user] < limits.per_user and self._teams[one.team] < limits.per_team

    def _leave(self, one: _Waiting) -> None:
        for counter, name in ((self._users, one.user), (self._teams, one.team)):
            counter[name] -= 1
            if not counter[name]:
                del counter[name]
        self._call()

    def _reason(self, user: str, team: str) -> str:
        limits = self._limits
        if self._users[user] >= limits.per_user:
            return f"this user has {limits.per_user} queries running already: wait for them to end"
        if self._teams[team] >= limits.per_team:
            return f"team {team} has {limits.per_team} queries running already: wait for them to end"
        return f"the server has {limits.in_all} queries running already: wait for them to end"
