"""How users and teams share the places for people's SQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from runstream_query.errors import TooExpensiveError
from runstream_query.sqlaccess.limits import SqlLimits
from runstream_query.sqlaccess.places import Places


class Crowd:
    """Queries that run until they are told to end."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.running: list[str] = []
        self._tasks: dict[asyncio.Task[None], asyncio.Event] = {}

    async def come(self, user: str, team: str = "t") -> asyncio.Task[None]:
        end = asyncio.Event()
        task = asyncio.create_task(self._run(user, team, end))
        self._tasks[task] = end
        await settled()
        return task

    async def end(self, user: str) -> None:
        """One of his that runs."""
        task = next(task for task in self._tasks if task.get_name() == user and not task.done())
        self._tasks.pop(task).set()
        await settled()

    async def _run(self, user: str, team: str, end: asyncio.Event) -> None:
        async with self.places.of(user, team):
            task = asyncio.current_task()
            assert task is not None
            task.set_name(user)
            self.running.append(user)
            try:
                await end.wait()
            finally:
                self.running.remove(user)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def crowd(**limits: float) -> AsyncIterator[Crowd]:
    found = Crowd(Places(SqlLimits(**{"wait_s": 60, **limits})))  # type: ignore[arg-type]
    yield found
    tasks = list(found._tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not found.places._users and not found.places._teams and not found.places._queue


async def test_a_user_has_a_few_whatever_the_key() -> None:
    async with crowd(per_user=2, per_team=9, in_all=9) as queries:
        for _ in range(5):
            await queries.come("a")
        await queries.come("b")
        assert sorted(queries.running) == ["a", "a", "b"]


async def test_a_team_leaves_room_for_another() -> None:
    async with crowd(per_user=2, per_team=3, in_all=9) as queries:
        for user in "abcd":
            await queries.come(user, "loud")
            await queries.come(user, "loud")
        await queries.come("z", "quiet")
        assert len(queries.running) == 4 and "z" in queries.running


async def test_who_has_fewest_is_next_and_not_who_came_first() -> None:
    async with crowd(per_user=2, per_team=9, in_all=2) as queries:
        for _ in range(4):
            await queries.come("a")
        await queries.come("b")
        assert queries.running == ["a", "a"]
        await queries.end("a")
        assert sorted(queries.running) == ["a", "b"]
        await queries.end("b")
        assert queries.running == ["a", "a"]


async def test_who_waits_too_long_is_told_for_whom() -> None:
    places = Places(SqlLimits(per_user=1, per_team=2, in_all=3, wait_s=0.01))
    async with places.of("a", "t"):
        with pytest.raises(TooExpensiveError, match="this user has 1"):
            async with places.of("a", "t"):
                pass
        async with places.of("b", "t"):
            with pytest.raises(TooExpensiveError, match="team t has 2"):
                async with places.of("c", "t"):
                    pass
            async with places.of("c", "u"):
                with pytest.raises(TooExpensiveError, match="the server has 3"):
                    async with places.of("d", "u"):
                        pass
    assert not places._users and not places._queue


async def test_a_place_of_a_cancelled_query_comes_free_also_of_one_that_waits() -> None:
    async with crowd(per_user=1, per_team=1, in_all=1) as queries:
        holder = await queries.come("a")
        waiter = await queries.come("a")
        await queries.come("b")
        waiter.cancel()
        holder.cancel()
        await settled()
        assert queries.running == ["b"]
