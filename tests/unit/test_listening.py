"""Silence counts only while the road to the storage listened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstream_common.bus.local import LocalBus
from runstream_common.bus.protocol import BusMessage, Delivery, Horizon, Origin
from runstream_common.listening import MAX_PERIODS, Mark, Period, heard_since, shortened, silent_before
from runstream_ingestor.writer.listening_recorder import SETTLE_US, PartitionHistory

S = 1_000_000
NOW = 1_000_000 * S


@st.composite
def periods(draw: st.DrawFn, most: int = 8) -> list[Period]:
    moments = sorted(draw(st.lists(st.integers(0, 200), min_size=2, max_size=2 * most)))
    return [(moments[place], moments[place + 1]) for place in range(0, len(moments) - 1, 2)]


@given(periods(), st.integers(1, 100))
def test_the_moment_is_what_counting_backwards_second_by_second_finds(known: list[Period], crash_after: int) -> None:
    moment, left = known[-1][1], crash_after
    while left:
        moment -= 1
        left -= moment < known[0][0] or any(began <= moment < ended for began, ended in known)
    assert silent_before(known, crash_after) == moment


@given(periods(40), st.integers(1, 100))
def test_forgetting_periods_calls_nothing_crashed_that_was_not(known: list[Period], crash_after: int) -> None:
    kept = shortened(known)
    assert len(kept) <= MAX_PERIODS and kept[-1] == known[-1]
    before, after = silent_before(known, crash_after), silent_before(kept, crash_after)
    assert before is not None and after is not None
    assert after <= before or kept[0] != known[0], "only what lies before the oldest that is known counts as heard"


def mark(bus: str, partition: int, *known: Period, partitions: int = 1) -> Mark:
    return Mark(bus, partition, partitions, known[-1][1], known)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], NOW - 300),
        ([mark("local", 0, (0, NOW - 3))], NOW - 303),
        ([mark("local", 0, (0, NOW - 4000))], NOW - 4300),  # nobody has listened since: states stay
        ([mark("local", 0, (0, NOW - 700), (NOW - 100, NOW))], NOW - 900),
        ([mark("local", 0, (0, NOW - 9000)), mark("kafka/t", 0, (0, NOW))], NOW - 300),  # the bus was changed
        ([mark("kafka/t", 0, (0, NOW), partitions=2), mark("kafka/t", 1, (0, NOW - 50), partitions=2)], NOW - 350),
        ([mark("kafka/t", 0, (0, NOW)), mark("kafka/t", 1, (0, NOW - 9000), partitions=2)], NOW - 300),  # made anew
        ([mark("local", 0, (0, NOW + 10_000))], NOW - 300),  # by a clock that was ahead
    ],
)
def test_the_most_careful_partition_of_the_bus_in_use_decides(marks: list[Mark], expected: int) -> None:
    assert heard_since(marks, 300, NOW) == expected


def at(second: float, end: int = 0, stored: int = 0, claim: int = 1) -> Horizon:
    return Horizon("kafka/t", 0, 1, claim, end, NOW + round(second * S), stored)


def looked(partition: PartitionHistory, *horizons: Horizon) -> list[tuple[float, float]]:
    """Its periods, in seconds since the first look."""
    for horizon in horizons:
        partition.observe(horizon)
    return seconds(partition.periods())


def seconds(known: Sequence[Period]) -> list[tuple[float, float]]:
    return [((began - NOW) / S + 2, (ended - NOW) / S + 2) for began, ended in known]


def test_a_period_goes_on_while_everything_is_stored_and_ends_where_it_is_not() -> None:
    partition = PartitionHistory(1)
    assert looked(partition, at(0), at(1), at(2)) == [(0, 2)]
    assert looked(partition, *(at(second, end=9, stored=8) for second in range(3, 100))) == [(0, 2)]
    assert looked(partition, at(100, end=9, stored=9)) == [(0, 3)], "what waited since the third second is stored"
    settled = 101 + SETTLE_US / S
    assert looked(partition, at(101, end=9, stored=9)) == [(0, 3)], "a break: runs have yet to be heard again"
    later = looked(partition, *(at(second, end=9, stored=9) for second in range(102, 150)))
    assert later == [(0, 3), (settled, 149)]


def test_under_load_the_moment_goes_on_though_something_always_waits() -> None:
    horizons = [at(second, end=100 * second + 100, stored=100 * second) for second in range(50)]
    assert looked(PartitionHistory(1), *horizons) == [(0, 48)]


def test_another_claim_begins_another_period_and_keeps_those_before() -> None:
    first = PartitionHistory(1)
    looked(first, *map(at, range(10)))
    second = PartitionHistory(2, first.periods(), version=7)
    assert looked(second, *map(at, range(20, 60))) == [(0, 9), (20 + SETTLE_US / S, 59)]


def test_a_standstill_is_a_break_and_a_clock_that_goes_back_takes_back_what_it_noted() -> None:
    partition = PartitionHistory(1)
    looked(partition, *map(at, range(10)))
    partition.interrupt()
    assert looked(partition, *map(at, range(11, 51))) == [(0, 9), (11 + SETTLE_US / S, 50)]
    assert looked(partition, at(49.5)) == [(0, 9), (11 + SETTLE_US / S, 50)], "a little: it waits"
    assert looked(partition, at(-100), at(-99)) == [(-100, -99)], "far: nothing of that future was listened to"


async def test_the_local_bus_knows_what_is_not_stored() -> None:
    bus = LocalBus(max_pending_bytes=10)

    def message(received_us: int) -> BusMessage:
        origin = Origin("t", "p", "r", "w", 0, 1, 0, "u", 1, 0, received_us)
        return BusMessage("key", b"x" * 8, origin)

    assert [(found.end, found.stored) for found in bus.horizons()] == [(0, 0)]
    publishing = [asyncio.create_task(bus.publish(message(received))) for received in (5, 6)]
    deliveries = await bus.poll(5)
    assert [(found.end, found.stored, found.at_us) for found in bus.horizons()] == [(1, 0, 6)], "one waits for room"
    await bus.confirm(deliveries)
    deliveries = await bus.poll(5)
    (found,) = bus.horizons()
    assert (found.end, found.stored) == (2, 1) and found.at_us > 6
    assert [isinstance(delivery, Delivery) for delivery in deliveries] == [True]
    await bus.confirm(deliveries)
    assert [(found.end, found.stored) for found in bus.horizons()] == [(2, 2)]
    await asyncio.gather(*publishing)
    await bus.close()
    assert bus.horizons() == []
