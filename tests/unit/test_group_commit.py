"""Calls that come together are carried out together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from runstream_query.sweeps.group_commit import MAX_CALLS, GroupCommit


async def test_what_waits_is_carried_out_together_and_each_gets_its_own_answer() -> None:
    groups: list[list[int]] = []

    async def double(calls: Sequence[int]) -> Sequence[int]:
        groups.append(list(calls))
        await asyncio.sleep(0.01)
        return [2 * one for one in calls]

    group = GroupCommit(double)
    first = asyncio.create_task(group.submit(0))
    while not groups:
        await asyncio.sleep(0)
    others = await asyncio.gather(*(group.submit(number) for number in range(1, MAX_CALLS + 11)))
    assert await first == 0 and others == [2 * number for number in range(1, MAX_CALLS + 11)]
    assert [len(group) for group in groups] == [1, MAX_CALLS, 10]
    assert group.idle


async def test_those_who_come_one_shortly_after_the_other_are_waited_for() -> None:
    groups: list[list[int]] = []

    async def carry_out(calls: Sequence[int]) -> Sequence[int]:
        groups.append(list(calls))
        return calls

    group = GroupCommit(carry_out)
    tasks = []
    for number in range(50):
        tasks.append(asyncio.create_task(group.submit(number)))
        await asyncio.sleep(0)
    assert await asyncio.gather(*tasks) == [number for group in groups for number in group] == list(range(50))
    assert len(groups) < 10, "some more than one where the machine halts in between"


async def test_an_error_is_for_those_who_asked_and_the_next_are_served() -> None:
    async def carry_out(calls: Sequence[str]) -> Sequence[str]:
        if "bad" in calls:
            raise RuntimeError("no")
        return calls

    group = GroupCommit(carry_out)
    with pytest.raises(RuntimeError):
        await group.submit("bad")
    assert await group.submit("good") == "good"


async def test_who_went_before_its_turn_is_not_served_and_who_went_later_is() -> None:
    served: list[int] = []
    began, go_on = asyncio.Event(), asyncio.Event()

    async def carry_out(calls: Sequence[int]) -> Sequence[int]:
        began.set()
        await go_on.wait()
        served.extend(calls)
        return calls

    group = GroupCommit(carry_out)
    under_way, waiting = asyncio.create_task(group.submit(1)), asyncio.create_task(group.submit(2))
    await began.wait()
    late = asyncio.create_task(group.submit(3))
    await asyncio.sleep(0)
    late.cancel()
    under_way.cancel()
    go_on.set()
    assert await waiting == 2
    assert served == [1, 2]
