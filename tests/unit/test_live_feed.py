"""What the live stream is made of: arrivals told once, ranges, the ring, and what each watcher gets."""

from __future__ import annotations

import random
from typing import Any, cast

import numpy as np
import pytest

from runstream_common.clickhouse.client import StorageUnavailableError
from runstream_common.identity import version
from runstream_proto.v1 import live_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.live import limits
from runstream_query.live.arrivals import Arrival, SeenBatches, queries_of, ranges_of
from runstream_query.live.entry import FeedEntry, Piece, split
from runstream_query.live.interest import Interest, regex, wanted_of
from runstream_query.live.ring import Ring
from runstream_query.live.state_changes import StateChanges
from runstream_query.runs.lookup import Lookup


def arrival(batch: int, epoch: int = 1, run: str = "r", step: int | None = None) -> Arrival:
    """Ten records; steps follow the batch unless given."""
    first = 10 * batch + 1
    low = 10 * batch if step is None else step
    return Arrival(run, f"writer-{epoch}", batch, epoch - 1, epoch, first, first + 9, 10, 0, low, low + 9)


def piece(points: int, metric: str = "loss", run: str = "r", rank: int = 0) -> Piece:
    return Piece(run, metric, rank, np.arange(points), np.arange(points) / 2, np.arange(points))


class _Away:
    """A storage that fails so many times, and the rows of one run."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.state = "running"

    async def run_rows(self, project: str, **query: Any) -> list[dict[str, Any]]:
        numbers = {"world_size": 1, "created_us": 1, "seen_us": 2, "finished_us": 3}
        return [{"run": "r", "state": self.state, "user": "u", **numbers}]

    async def rows(self, name: str, **query: Any) -> list[dict[str, Any]]:
        self.failures -= 1
        if self.failures >= 0:
            raise StorageUnavailableError("away")
        return []


async def test_a_change_that_could_not_be_told_is_told_later() -> None:
    parts = _Away(0)
    states = StateChanges(cast(Storage, parts), cast(Lookup, parts), "p")
    assert [change.state for change in await states.watch(["r"])] == ["running"]
    parts.state, parts.failures = "finished", 1
    with pytest.raises(StorageUnavailableError):
        await states.changed(["r"])
    assert [change.state for change in await states.changed(["r"])] == ["finished"]
    assert await states.changed(["r"]) == []


def test_a_batch_is_told_once_however_often_it_is_found() -> None:
    seen = SeenBatches()
    generator = random.Random(3)
    told: list[int] = []
    for turn in range(60):
        visible = [batch for batch in range(turn) if batch > turn - 10]
        generator.shuffle(visible)
        told += [one.batch for one in seen.fresh(map(arrival, visible), turn / 2)]
    assert sorted(told) == list(range(59))


def test_no_question_reaches_back_behind_what_was_forgotten() -> None:
    seen = SeenBatches(most=5)
    seen.fresh(map(arrival, range(4)), 100.0)
    assert seen.reach_s(120.0, 101.0) == 120.0
    seen.fresh(map(arrival, range(4, 12)), 103.0)
    assert seen.reach_s(120.0, 105.0) == 2.0, "of batches first seen at 103 some are forgotten"


def test_ranges_join_what_touches_and_questions_hold_one_range_of_a_process() -> None:
    found = [arrival(1), arrival(2), arrival(4), arrival(1, epoch=2), arrival(2)]
    ranges = ranges_of(found)
    spans = sorted((one.epoch, one.low - version(one.epoch, 0), one.high - version(one.epoch, 0)) for one in ranges)
    assert spans == [(1, 11, 30), (1, 41, 50), (2, 11, 20)]
    questions = queries_of(ranges, by_step=True)
    assert [sorted(query.parameters["epochs"]) for query in questions] == [[1, 2], [1]]
    assert questions[0].ranks == [0, 1]
    assert questions[0].steps == (10, 29)


def test_steps_far_apart_are_asked_for_apart() -> None:
    far = [arrival(1, 1), arrival(1, 2, step=10_000_000), arrival(1, 3, step=5_000_000), arrival(1, 4, step=150)]
    questions = queries_of(ranges_of(far), by_step=True)
    assert [query.steps for query in questions] == [
        (10, 159),
        (5_000_000, 5_000_009),
        (10_000_000, 10_000_009),
    ]
    many = [arrival(1, n, step=n * 1_000_000) for n in range(1, 100)]
    questions = queries_of(ranges_of(many), by_step=True)
    assert len(questions) == limits.MAX_CLUSTERS
    assert sum(len(query.ranges) for query in questions) == 99
    assert len(queries_of(ranges_of(many), by_step=False)) == 1


def test_the_ring_keeps_the_newest_within_its_bound() -> None:
    ring = Ring()
    assert ring.has(0)
    assert not ring.has(1)
    size = FeedEntry(pieces=[piece(1000)]).bytes
    for _ in range(100):
        ring.append(FeedEntry(pieces=[piece(1000)]), 10 * size)
        assert ring.bytes <= 10 * size
    assert (ring.first, ring.last) == (91, 100)
    assert ring.has(90)
    assert not ring.has(89)
    following = ring.after(90)
    assert following is not None
    assert following.number == 91
    assert ring.after(100) is None
    ring.append(FeedEntry(pieces=[piece(100_000)]), 10 * size)
    assert (ring.first, ring.last) == (101, 101), "one that is larger than the bound is kept alone"


@pytest.mark.parametrize("sizes", [[10], [49_999, 2], [50_000], [60_000, 10], [120_000, 40_000, 7], [3] * 1000])
def test_large_entries_are_split_and_lose_nothing(sizes: list[int]) -> None:
    entry = FeedEntry(pieces=[piece(size, f"m{n}") for n, size in enumerate(sizes)], runs=[pb.RunChange(run="r")])
    parts = list(split(entry))
    assert all(part.points <= limits.MAX_ENTRY_POINTS for part in parts)
    assert [len(part.runs) for part in parts] == [1] + [0] * (len(parts) - 1)
    for n, size in enumerate(sizes):
        found = [one.steps for part in parts for one in part.pieces if one.metric == f"m{n}"]
        assert np.concatenate(found).tolist() == list(range(size))


def test_each_watcher_gets_what_it_wants_and_no_more() -> None:
    entry = FeedEntry(
        pieces=[piece(2, "train/loss"), piece(2, "val/loss"), piece(2, "train/loss", rank=3), piece(2, run="other")],
        runs=[pb.RunChange(run="r"), pb.RunChange(run="other")],
        fields=[pb.FieldChange(run="r", key="a")],
        resets={"other": "too much"},
    )
    one = entry.response(Interest(frozenset({"r"}), ("train/*",), frozenset({0})), "id-1")
    assert one is not None
    assert [(p.run, p.metric, p.rank) for p in one.points] == [("r", "train/loss", 0)]
    assert not one.HasField("reset")
    whole = entry.response(Interest(), "id-1")
    assert whole is not None
    assert len(whole.runs) == 2
    assert not whole.points
    assert not whole.fields
    other = entry.response(Interest(frozenset({"other"})), "id-1")
    assert other is not None
    assert list(other.reset.runs) == ["other"]
    assert entry.response(Interest(frozenset({"third"}), ("*",)), "id-1") is None
    entry.resets[""] = "everything"
    third = entry.response(Interest(frozenset({"fourth"}), ("*",)), "id-1")
    assert third is not None
    assert third.reset.reason == "everything"


def test_all_interests_together_are_asked_for_at_once() -> None:
    wanted = wanted_of(
        "r",
        [
            Interest(frozenset({"r"}), ("loss", "a?/*"), console=True, console_ranks=frozenset({1})),
            Interest(frozenset({"r", "s"}), ("acc", "loss")),
            Interest(frozenset({"s"}), ("never",)),
            Interest(),
        ],
    )
    assert wanted is not None
    assert wanted.metrics == ("acc", "loss")
    assert wanted.pattern == "(?s)^(?:a./.*)$"
    assert (wanted.console, wanted.console_ranks) == (True, (1,))
    everyone = wanted_of("r", [Interest(frozenset({"r"}), console=True), Interest(frozenset({"r"}), ("x",))])
    assert everyone is not None
    assert (everyone.console, everyone.console_ranks) == (True, ())
    assert wanted_of("t", [Interest()]) is None


def test_patterns_are_literal_but_for_their_wildcards() -> None:
    pattern = Interest(frozenset({"r"}), ("a.b[0]*", "(x"))
    assert pattern.wants_points("r", "a.b[0]/c\nd", 0)
    assert not pattern.wants_points("r", "aXb[0]", 0)
    assert pattern.wants_points("r", "(x", 0)
    assert not pattern.wants_points("s", "(x", 0)
    assert regex([]) == ""
    assert regex(["x" * 1000 + "*"] * 100) == "(?s)^.*$", "beyond the bound everything is read, and sorted out here"
