"""Which rows lose, and which batches are asked for: against a plain map of the highest version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from runstream_ingestor.writer.decode import DecodedBatch
from runstream_ingestor.writer.duplicate_steps import find_replaced, stored_rows
from runstream_ingestor.writer.highest_steps import HighestSteps, rank_path
from tests.support.ledger import Attempt

Key = tuple[str, int]
METRICS = ("loss", "acc", "lr")
FRAMES = st.tuples(
    st.sampled_from([("loss",), ("acc", "loss"), ("lr",)]), st.lists(st.integers(0, 9), min_size=1, max_size=5)
)
LOGGED = st.lists(st.tuples(st.integers(1, 3), FRAMES), min_size=1, max_size=8)
"""Attempt, metrics and steps of each batch."""


def batches_of(logged: Sequence[tuple[int, tuple[tuple[str, ...], list[int]]]]) -> list[DecodedBatch]:
    attempts = {epoch: Attempt("main", "p", "run", epoch) for epoch in (1, 2, 3)}
    return [
        attempts[epoch].points({key: [float(n) for n in range(len(steps))] for key in keys}, steps)
        for epoch, (keys, steps) in logged
    ]


def rows_of(decoded: DecodedBatch) -> list[tuple[Key, int, float, int]]:
    return [
        ((key, int(step)), int(version), float(value), int(time_us))
        for block in decoded.blocks
        for step, version, values, time_us in zip(
            block.steps, block.versions, block.values, block.times_us, strict=True
        )
        for key, value in zip(block.keys, values, strict=True)
    ]


def table_of(newest: dict[Key, tuple[int, float, int]], keys: set[Key]) -> pa.Table:
    found = [(*key, *newest[key]) for key in sorted(keys & newest.keys())]
    columns: Any = list(zip(*found, strict=True)) or [()] * 5
    return pa.table(
        {
            "metric": pa.array(columns[0], pa.string()),
            "rank": pa.array([0] * len(found), pa.uint32()),
            "step": pa.array(columns[1], pa.int64()),
            "version": pa.array(columns[2], pa.uint64()),
            "value": pa.array(columns[3], pa.float64()),
            "time_us": pa.array(columns[4], pa.int64()),
        }
    )


@settings(max_examples=60)
@given(LOGGED, st.randoms(use_true_random=False), st.integers(1, 3))
def test_the_notes_name_exactly_what_the_highest_version_replaced(logged: Any, random: Any, size: int) -> None:
    """In any order, in flushes of any size, some delivered twice, merged at any time: what is stored and read is the
    highest version of each key alone."""
    made = batches_of(logged)
    order = made + random.sample(made, random.randint(0, len(made)))
    random.shuffle(order)
    newest: dict[Key, tuple[int, float, int]] = {}
    noted: set[tuple[int, int]] = set()
    for start in range(0, len(order), size):
        flush = order[start : start + size]
        rows = [row for decoded in flush for row in rows_of(decoded)]
        stored = stored_rows(table_of(newest, {key for key, *_ in rows})).get(0)
        for versions, hashes in find_replaced(flush, stored).values():
            noted |= set(zip(versions.tolist(), hashes.tolist(), strict=True))
        for key, *rest in rows:
            newest[key] = max(newest.get(key, (0, 0.0, 0)), (rest[0], rest[1], rest[2]))
    stored_once = {(key, version) for decoded in made for key, version, *_ in rows_of(decoded)}
    replaced = stored_once - {(key, version) for key, (version, *_) in newest.items()}
    assert sorted(version for version, _ in noted) == sorted(version for _, version in replaced)


@settings(max_examples=60)
@given(LOGGED, st.sets(st.integers(0, 7)))
def test_a_batch_that_is_not_asked_for_meets_nothing(logged: Any, learned: set[int]) -> None:
    """Whenever it is learned what was stored before: nothing was."""
    tops = HighestSteps()
    seen: set[Key] = set()
    for number, decoded in enumerate(batches_of(logged)):
        tops.mark(decoded)
        keys = {key for key, *_ in rows_of(decoded)}
        assert decoded.may_replace or not keys & seen
        seen |= keys
        if number in learned:
            tops.learn([decoded], {})


def test_ordinary_batches_are_asked_for_once() -> None:
    """The second and later batches of a series, each above the last, and metrics beside each other at one step."""
    attempt, tops = Attempt("main", "p", "run"), HighestSteps()
    first = attempt.points({"loss": [1, 2]}, [1, 2])
    tops.mark(first)
    assert first.may_replace and tops.unknown(first)
    tops.learn([first], {rank_path(first): {"loss": 4}})
    stored_before, above = attempt.points({"loss": [1]}, [4]), attempt.points({"loss": [1, 2]}, [5, 6])
    for decoded in (stored_before, above):
        tops.mark(decoded)
    assert stored_before.may_replace and not above.may_replace
    beside = attempt.points({"acc": [1]}, [6])
    tops.mark(beside)
    assert beside.may_replace, "a metric that was not seen before"
    tops.learn([beside], {})
    both = attempt.points({"loss": [1], "acc": [1]}, [7])
    tops.mark(both)
    assert not both.may_replace
    tops.forget()
    after = attempt.points({"loss": [1], "acc": [1]}, [8])
    tops.mark(after)
    assert after.may_replace, "another writer may have stored more"


def test_steps_of_different_metrics_do_not_meet() -> None:
    attempt = Attempt("main", "p", "run")
    assert find_replaced([attempt.points({"loss": [1, 2]}, [1, 2]), attempt.points({"acc": [1, 2]}, [1, 2])]) == {}
    twice = attempt.points({"loss": [1, 2, 3]}, [1, 2, 1])
    (versions, _) = find_replaced([twice])[0]
    assert np.array_equal(versions, twice.blocks[0].versions[:1])
