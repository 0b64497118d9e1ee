"""Which series are read in which way, how one series is split into cells and points, and how reading ends."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.curves import curve_plan
from runstream_query.curves.curve_plan import KnownSeries, Strategy, arrange, choose, remembered_plan
from runstream_query.curves.curve_query import check_query
from runstream_query.curves.plan_cache import PlanCache
from runstream_query.curves.readers.curve_reader import beside
from runstream_query.curves.series_plan import SeriesPart, SeriesPlan, split
from runstream_query.curves.spans import Span

LONG = Span(0, 10 * curve_plan.MAX_SHORT)
SHORT = Span(0, 99)


def test_a_series_is_read_by_its_length_and_its_ranks() -> None:
    known = [
        KnownSeries("a", "short", 1, SHORT),
        KnownSeries("a", "short of ranks", 8, SHORT),
        KnownSeries("a", "long", 1, LONG),
        KnownSeries("a", "of unknown length", 1, None),
    ]
    mean = check_query(pb.GetCurvesRequest(runs=["a"], metrics=["m"]))
    assert {strategy: [one.metric for one in series] for strategy, series in choose(known, mean).items()} == {
        Strategy.WHOLE_SERIES: ["short"],
        Strategy.RANK_MEANS: ["short of ranks"],
        Strategy.ENGINE_BUCKETS: ["long", "of unknown length"],
    }
    each = check_query(
        pb.GetCurvesRequest(runs=["a"], metrics=["m"], selection=pb.RANK_SELECTION_EACH, min_step=50, max_step=5000)
    )
    assert {strategy: [one.metric for one in series] for strategy, series in choose(known, each).items()} == {
        Strategy.WHOLE_SERIES: ["short", "short of ranks", "long"],
        Strategy.ENGINE_BUCKETS: ["of unknown length"],
    }


def test_no_more_points_are_read_whole_than_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve_plan, "MAX_READ", 250)
    query = check_query(pb.GetCurvesRequest(runs=["a"], metrics=["m"], selection=pb.RANK_SELECTION_EACH))
    chosen = choose([KnownSeries("a", f"m{number}", 2, Span(1, 100)) for number in range(3)], query)
    assert [len(chosen[strategy]) for strategy in (Strategy.WHOLE_SERIES, Strategy.ENGINE_BUCKETS)] == [1, 2]


def test_long_series_of_a_run_are_read_one_after_the_other_and_by_roll_ups_where_there_are_some() -> None:
    chosen = {
        Strategy.WHOLE_SERIES: [KnownSeries("a", "short", 1, SHORT), KnownSeries("b", "short", 1, SHORT)],
        Strategy.RANK_MEANS: [KnownSeries("b", "mean", 4, LONG)],
        Strategy.ENGINE_BUCKETS: [KnownSeries("b", metric, 1, LONG) for metric in ("rolled", "plain", "rolled, too")],
    }
    parts = {0: [SeriesPart("part", LONG, (8,))]}
    plan = arrange(chosen, {("b", "rolled"): parts, ("b", "rolled, too"): parts, ("c", "other"): parts}, 4)
    assert [[(read.strategy, [one.metric for one in read.series]) for read in reads] for reads in plan.sequences] == [
        [(Strategy.WHOLE_SERIES, ["short", "short"])],
        [(Strategy.RANK_MEANS, ["mean"])],
        [
            (Strategy.ENGINE_BUCKETS, ["plain"]),
            (Strategy.ROLLUPS, ["rolled"]),
            (Strategy.ROLLUPS, ["rolled, too"]),
        ],
    ]
    assert plan.sequences[2][1].series[0].rolled == parts and plan.most_ranks == 4


def test_a_remembered_plan_is_used_where_all_series_are_remembered_and_long() -> None:
    cache, series = PlanCache(), SeriesPlan(0, LONG, [SeriesPart("part", LONG, (8,))], [])
    cache.remember(("team/p", "a", "long"), series)
    one = pb.GetCurvesRequest(runs=["a"], metrics=["long"])
    plan = remembered_plan("team/p", check_query(one), cache)
    assert plan is not None and plan.sequences[0][0].series[0].remembered == series
    for change in (
        {"metrics": ["other"]},  # is not remembered
        {"ranks": [0]},  # a plan is of all ranks
        {"x_axis": 2},  # a range of times is looked up
        {"max_step": 99},  # so few are read whole
    ):
        request = pb.GetCurvesRequest(runs=["a"], metrics=["long"])
        request.MergeFrom(pb.GetCurvesRequest(**change))  # type: ignore[arg-type]
        assert remembered_plan("team/p", check_query(request), cache) is None
    cache.forget(("team/p", "a", "long"))
    cache.remember(("team/p", "a", "long"), series)  # in vain: it has just changed
    assert remembered_plan("team/p", check_query(one), cache) is None


STEPS = st.sets(st.integers(-60, 120), min_size=1, max_size=40)


@settings(max_examples=300)
@given(
    st.lists(STEPS, min_size=1, max_size=3),
    st.lists(STEPS, max_size=2),
    st.sampled_from([(2,), (4,), (2, 8), (16,)]),
    st.integers(8, 70),
    st.tuples(st.integers(-70, 130), st.integers(-70, 130)).map(sorted),
)
def test_each_point_of_a_series_is_in_one_cell_or_in_the_rest(
    rolled: list[set[int]], others: list[set[int]], widths: tuple[int, ...], wanted: int, steps: list[int]
) -> None:
    """A cell holds points of its part only; no other part has points among them."""
    own = {f"rolled-{number}": points for number, points in enumerate(rolled)}
    foreign = {f"other-{number}": points for number, points in enumerate(others)}
    everything = {**own, **foreign}
    plan = SeriesPlan(
        0,
        Span(-60, 120),
        [SeriesPart(name, Span(min(points), max(points)), widths) for name, points in own.items()],
        [SeriesPart(name, Span(min(points), max(points))) for name, points in foreign.items()],
    )
    low, high = steps
    cells, rest = split(plan, Span(low, high), wanted)
    read: list[tuple[str, int]] = [
        (name, step)
        for span in rest
        for name, points in everything.items()
        for step in points
        if step in range(*_end(span))
    ]
    for piece in cells:
        reach = range(piece.cells.low * piece.width, (piece.cells.high + 1) * piece.width)
        held = [(piece.part, step) for step in everything[piece.part] if step in reach]
        assert all(step in range(*_end(piece.covers)) for _, step in held)
        for name, points in everything.items():
            within = points & set(range(*_end(piece.covers)))
            assert name == piece.part or not within, "another part may supersede a point of the cell"
        read += held
    expected = [(name, step) for name, points in everything.items() for step in points if low <= step <= high]
    assert sorted(read) == sorted(expected)


def _end(span: Span) -> tuple[int, int]:
    return span.low, span.high + 1


async def test_what_is_read_beside_a_check_ends_with_the_check() -> None:
    ended = []

    async def read(name: str) -> str:
        try:
            await asyncio.sleep(60 if name != "quick" else 0)
        finally:
            ended.append(name)
        return name

    async with beside(read("quick")) as reading:
        assert await reading == "quick"
    async with beside(read("not waited for")):
        await asyncio.sleep(0)
    with pytest.raises(ValueError):
        async with beside(read("check failed")):
            await asyncio.sleep(0)
            raise ValueError

    async def asked() -> None:
        async with beside(asyncio.gather(read("caller left"), read("caller left, too"))):
            await asyncio.sleep(60)

    caller = asyncio.ensure_future(asked())
    await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended == ["quick", "not waited for", "check failed", "caller left", "caller left, too"]
