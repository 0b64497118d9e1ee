"""How users and teams share places: who is next, who is refused, and that nobody is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstream_query.base.errors import NoPlaceError, status_of
from runstream_query.base.fair_queue import FairQueue, QueueShares
from runstream_query.transport.request_queues import EXPORT_SHARES, RUN_SHARES, RequestLimits

WIDE = QueueShares(per_user=9, per_team=9, in_all=9, wait_s=60)


class Crowd:
    """Questions that run until they are told to end."""

    def __init__(self, places: FairQueue) -> None:
        self.places = places
        self.running: list[str] = []
        self.began: list[str] = []
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
            self.began.append(user)
            try:
                await end.wait()
            finally:
                self.running.remove(user)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def crowd(shares: QueueShares, everywhere: Counter[str] | None = None) -> AsyncIterator[Crowd]:
    found = Crowd(FairQueue(shares, everywhere=everywhere))
    yield found
    tasks = list(found._tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert_empty(found.places)


def assert_empty(places: FairQueue) -> None:
    assert not places._users and not places._teams and not places._queues and not places._turns


async def test_a_user_has_a_few_whatever_the_key() -> None:
    async with crowd(replace(WIDE, per_user=2)) as questions:
        for _ in range(5):
            await questions.come("a")
        await questions.come("b")
        assert sorted(questions.running) == ["a", "a", "b"]


async def test_a_team_leaves_room_for_another() -> None:
    async with crowd(replace(WIDE, per_user=2, per_team=3)) as questions:
        for user in "abcd":
            await questions.come(user, "loud")
            await questions.come(user, "loud")
        await questions.come("z", "quiet")
        assert len(questions.running) == 4 and "z" in questions.running


async def test_who_has_fewest_is_next_and_not_who_came_first() -> None:
    async with crowd(replace(WIDE, per_user=2, in_all=2)) as questions:
        for _ in range(4):
            await questions.come("a")
        await questions.come("b")
        assert questions.running == ["a", "a"]
        await questions.end("a")
        assert sorted(questions.running) == ["a", "b"]
        await questions.end("b")
        assert questions.running == ["a", "a"]


async def test_users_who_wait_take_turns() -> None:
    async with crowd(replace(WIDE, in_all=1)) as questions:
        for user in "aaaabbbc":
            await questions.come(user)
        for _ in range(7):
            await questions.end(questions.running[0])
        # `b` and `c` came when `a` had had his first turn, and waits for the next.
        assert "".join(questions.began) == "aabcabab"


async def test_users_who_come_back_at_once_do_not_keep_out_who_has_many_questions() -> None:
    async with crowd(replace(WIDE, in_all=1)) as questions:
        for user in "hhhxy":
            await questions.come(user)
        for _ in range(9):
            ended = questions.running[0]
            await questions.end(ended)
            await questions.come(ended)
        assert questions.began.count("h") >= 3, questions.began


async def test_places_that_are_kept_free_are_for_who_has_none() -> None:
    async with crowd(replace(WIDE, in_all=4, per_team=4, reserved=2)) as questions:
        for _ in range(5):
            await questions.come("a")
        assert questions.running == ["a", "a"]
        await questions.come("b")
        await questions.come("c")
        assert sorted(questions.running) == ["a", "a", "b", "c"], "at once"
        await questions.come("d")
        await questions.end("a")
        assert sorted(questions.running) == ["a", "b", "c", "d"], "next"


async def test_who_has_places_in_another_pool_comes_after_who_has_none() -> None:
    everywhere: Counter[str] = Counter()
    async with (
        crowd(WIDE, everywhere) as sql,
        crowd(replace(WIDE, in_all=1), everywhere) as questions,
    ):
        await sql.come("a")
        for user in "xab":
            await questions.come(user)
        await questions.end("x")
        assert questions.running == ["b"]


async def test_more_than_may_wait_are_refused_at_once_with_what_to_do() -> None:
    async with crowd(QueueShares(per_user=1, per_team=9, in_all=9, waiting=2, noun="questions")) as questions:
        for _ in range(3):
            await questions.come("a")
        with pytest.raises(NoPlaceError, match="2 questions of this user wait already.*ask 1 at a time") as refused:
            async with questions.places.of("a", "t"):
                pass
        status, words = status_of(refused.value)
        assert (status.grpc.name, status.http) == ("RESOURCE_EXHAUSTED", 429) and words == str(refused.value)
        assert refused.value.retry_after_s > 0
        await questions.come("b")
        assert sorted(questions.running) == ["a", "b"], "another user is not refused"


async def test_who_waits_too_long_is_told_for_whom() -> None:
    places = FairQueue(QueueShares(per_user=1, per_team=2, in_all=3, wait_s=0.01))
    async with places.of("a", "t"):
        with pytest.raises(NoPlaceError, match="this user has 1"):
            async with places.of("a", "t"):
                pass
        async with places.of("b", "t"):
            with pytest.raises(NoPlaceError, match="team t has 2"):
                async with places.of("c", "t"):
                    pass
            async with places.of("c", "u"):
                with pytest.raises(NoPlaceError, match="the server has 3"):
                    async with places.of("d", "u"):
                        pass
    assert_empty(places)


async def test_a_place_of_a_cancelled_question_comes_free_also_of_one_that_waits() -> None:
    async with crowd(QueueShares(per_user=1, per_team=1, in_all=1)) as questions:
        holder = await questions.come("a")
        waiter = await questions.come("a")
        await questions.come("b")
        waiter.cancel()
        holder.cancel()
        await settled()
        assert questions.running == ["b"]


async def test_a_question_that_is_cancelled_when_its_turn_has_come_gives_it_on() -> None:
    async with crowd(QueueShares(per_user=1, per_team=1, in_all=1)) as questions:
        holder = await questions.come("a")
        waiter = await questions.come("b")
        await questions.come("c")
        holder.cancel()
        await asyncio.sleep(0)  # its place goes to `b`, which does not know yet
        waiter.cancel()
        await settled()
        assert questions.running == ["c"]


_STEPS = st.lists(st.tuples(st.sampled_from(["come", "end", "cancel"]), st.integers(0, 4)), max_size=40)


@settings(max_examples=150, deadline=None)
@given(steps=_STEPS, per_user=st.integers(1, 3), per_team=st.integers(1, 4), in_all=st.integers(1, 5), data=st.data())
def test_bounds_hold_and_no_place_stays_empty_while_somebody_may_have_it(
    steps: list[tuple[str, int]], per_user: int, per_team: int, in_all: int, data: st.DataObject
) -> None:
    shares = QueueShares(per_user, per_team, in_all, data.draw(st.integers(0, min(in_all, per_team) - 1)), 5, 60)

    async def play() -> None:
        async with crowd(shares) as questions:
            places, tasks = questions.places, []
            for what, who in steps:
                user, team = f"u{who}", f"t{who % 2}"
                if what == "come":
                    tasks.append(await questions.come(user, team))
                elif what == "end" and questions.running:
                    await questions.end(questions.running[who % len(questions.running)])
                elif what == "cancel" and tasks:
                    tasks[who % len(tasks)].cancel()
                    await settled()
                running = Counter(questions.running)
                assert running == places._users
                assert max(running.values(), default=0) <= per_user and running.total() <= in_all
                assert max(places._teams.values(), default=0) <= per_team
                assert all(0 < len(queue) <= 5 for queue in places._queues.values())
                assert not any(places._may(user, queue[0].team) for user, queue in places._queues.items())
            for task in tasks:
                if task.done() and not task.cancelled():
                    assert isinstance(task.exception(), NoPlaceError | None)

    asyncio.run(play())


@pytest.mark.parametrize(
    "shares", [RequestLimits().shares(), RequestLimits().engine_shares(), EXPORT_SHARES, RUN_SHARES]
)
async def test_one_user_alone_never_has_all(shares: QueueShares) -> None:
    async with crowd(shares) as questions:
        for _ in range(shares.in_all):
            await questions.come("loud")
        assert 0 < len(questions.running) < shares.in_all
        await questions.come("quiet")
        assert "quiet" in questions.running
