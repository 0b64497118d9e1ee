"""Other axes, smoothing, groups and ranks equal what plain Python makes of the surviving points."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest

from runstream_proto.v1 import curves_pb2
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.curves.smoothing import smooth
from runstream_query.curves.stragglers import judge
from tests.integration.world import World, mean_of, same

RUNS = ["run-a", "run-b", "run-c"]


def finite(values: list[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def std(values: list[float]) -> float:
    return statistics.pstdev(values) if values else math.nan


def by_step(world: World, run: str, metric: str) -> dict[int, dict[int, float]]:
    """Step -> rank -> value."""
    found: dict[int, dict[int, float]] = {}
    for rank, rows in world.series(run, metric).items():
        for step, value in rows:
            found.setdefault(step, {})[rank] = value
    return dict(sorted(found.items()))


def close(found: float, expected: float) -> bool:
    """Of huge values, sums in another order differ in their last digits, and may overflow."""
    return same(found, expected) or math.isclose(found, expected, rel_tol=1e-6)


def times(world: World, run: str, metric: str, rank: int) -> dict[int, int]:
    return {
        step: moment for (r, m, k, step), (_, _, moment) in world.surviving.items() if (r, m, k) == (run, metric, rank)
    }


@pytest.mark.parametrize("axis", [curves_pb2.X_AXIS_WALL_TIME, curves_pb2.X_AXIS_RELATIVE_TIME])
async def test_a_range_of_time_is_applied_before_bucketing(world: World, axis: curves_pb2.XAxis.ValueType) -> None:
    start_us = 1_790_000_000_000_000
    low_us, high_us = start_us + 10_000, start_us + 80_000
    origin = 0 if axis == curves_pb2.X_AXIS_WALL_TIME else start_us
    for selection, buckets in ((pb.RANK_SELECTION_EACH, 5), (pb.RANK_SELECTION_EACH, 1000)):
        request = pb.GetCurvesRequest(
            project=world.project,
            runs=RUNS,
            metrics=["loss"],
            selection=selection,
            buckets=buckets,
            x_axis=axis,
            min_x=(low_us - origin) / 1e6,
            max_x=(high_us - origin) / 1e6,
        )
        curves = {
            (curve.run, curve.rank): curve for curve in (await world.answers.GetCurves(world.principal, request)).curves
        }
        for run in RUNS:
            for rank, rows in world.series(run, "loss").items():
                moments = times(world, run, "loss", rank)
                inside = [(step, value) for step, value in rows if low_us <= moments[step] <= high_us]
                if not inside:
                    assert (run, rank) not in curves
                    continue
                curve = curves[run, rank]
                assert sum(curve.counts) == len(inside)
                assert same(curve.firsts[0], inside[0][1]) and same(curve.lasts[-1], inside[-1][1])
                assert same(
                    min(finite(list(curve.mins)), default=math.nan),
                    min(finite([v for _, v in inside]), default=math.nan),
                )
                for first, last, x in zip(curve.first_steps, curve.last_steps, curve.xs, strict=True):
                    earliest = min(moments[step] for step, _ in inside if first <= step <= last)
                    assert x == pytest.approx((earliest - origin) / 1e6, abs=2e-6)


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("buckets", [1, 6, 10_000])
async def test_a_curve_against_another_metric(world: World, each: bool, buckets: int) -> None:
    request = pb.GetCurvesRequest(
        project=world.project,
        runs=["run-a"],
        metrics=["loss"],
        selection=pb.RANK_SELECTION_EACH if each else pb.RANK_SELECTION_MEAN,
        buckets=buckets,
        x_axis=curves_pb2.X_AXIS_METRIC,
        x_metric="acc",
        min_x=-8.0,
        max_x=9.0,
    )
    curves = {curve.rank: curve for curve in (await world.answers.GetCurves(world.principal, request)).curves}
    ys, xs = by_step(world, "run-a", "loss"), by_step(world, "run-a", "acc")
    expected: dict[int, list[tuple[float, int, float]]] = {}
    for step in ys.keys() & xs.keys():
        if each:
            pairs = [(rank, xs[step][rank], ys[step][rank]) for rank in ys[step].keys() & xs[step].keys()]
        else:
            pairs = [(0, mean_of(list(xs[step].values())), mean_of(list(ys[step].values())))]
        for rank, x, y in pairs:
            if math.isfinite(x) and -8.0 <= x <= 9.0:
                expected.setdefault(rank, []).append((x, step, y))
    assert curves.keys() == expected.keys()
    for rank, points in expected.items():
        points.sort()
        curve = curves[rank]
        assert len(curve.counts) <= max(buckets, 1) or buckets >= len(points)
        taken = 0
        for index, count in enumerate(curve.counts):
            part = points[taken : taken + count]
            taken += count
            assert same(curve.xs[index], part[0][0])
            assert same(curve.firsts[index], part[0][2]) and same(curve.lasts[index], part[-1][2])
            values = finite([y for _, _, y in part])
            assert same(curve.mins[index], min(values, default=math.nan))
            assert same(curve.maxs[index], max(values, default=math.nan))
            assert close(curve.means[index], mean(values))
            assert curve.not_finite[index] == count - len(values)
            if curve.x_width:
                assert part[-1][0] - part[0][0] <= curve.x_width * (1 + 1e-9)
        assert taken == len(points)


@pytest.mark.parametrize("buckets", [4, 1000])
@pytest.mark.parametrize("window", [(None, None), (10, 60)])
async def test_ranks_are_compared_bucket_by_bucket(
    world: World, buckets: int, window: tuple[int | None, int | None]
) -> None:
    request = curves_pb2.GetRankCurvesRequest(
        project=world.project,
        run="run-b",
        metrics=["loss", "acc"],
        buckets=buckets,
        min_step=window[0],
        max_step=window[1],
        percentiles=True,
    )
    response = await world.answers.GetRankCurves(world.principal, request)
    for curve in response.curves:
        low, high = window[0] if window[0] is not None else -100, window[1] if window[1] is not None else 1000
        steps = {s: r for s, r in by_step(world, "run-b", curve.metric).items() if low <= s <= high}
        covered = 0
        for index, (first, last) in enumerate(zip(curve.first_steps, curve.last_steps, strict=True)):
            inside = {step: ranks for step, ranks in steps.items() if first <= step <= last}
            covered += len(inside)
            points = [(value, rank) for ranks in inside.values() for rank, value in ranks.items()]
            own = {
                rank: mean(finite([ranks[rank] for ranks in inside.values() if rank in ranks])) for _, rank in points
            }
            means = finite(list(own.values()))
            good = [(value, rank) for value, rank in points if math.isfinite(value)]
            assert curve.counts[index] == len(own)
            assert curve.not_finite[index] == len(points) - len(good)
            assert close(curve.means[index], mean(means))
            if means and max(map(abs, means)) < 1e100:
                assert math.isclose(curve.stds[index], std(means), rel_tol=1e-6, abs_tol=1e-9)
                for field, share in (("p05s", 5), ("p50s", 50), ("p95s", 95)):
                    expected = float(np.percentile(means, share))
                    assert math.isclose(getattr(curve, field)[index], expected, rel_tol=1e-9, abs_tol=1e-12)
            assert same(curve.mins[index], min((value for value, _ in good), default=math.nan))
            assert same(curve.maxs[index], max((value for value, _ in good), default=math.nan))
            if good:
                assert (curve.maxs[index], curve.max_ranks[index]) in good
                assert (curve.mins[index], curve.min_ranks[index]) in good
        assert covered == len(steps)


@pytest.mark.parametrize("buckets", [5, 500])
async def test_the_map_of_ranks_has_each_ranks_mean(world: World, buckets: int) -> None:
    request = curves_pb2.GetRankMapRequest(project=world.project, run="run-a", metric="loss", buckets=buckets)
    found = await world.answers.GetRankMap(world.principal, request)
    series = world.series("run-a", "loss")
    assert list(found.ranks) == sorted(series) and found.all_ranks == len(series)
    assert len(found.means) == len(found.ranks) * len(found.steps) == len(found.not_finite)
    edges = [*found.steps, 1 << 60]
    for row, rank in enumerate(found.ranks):
        for column, (low, high) in enumerate(zip(edges, edges[1:], strict=False)):
            values = [value for step, value in series[rank] if low <= step < high]
            cell = row * len(found.steps) + column
            assert close(found.means[cell], mean(finite(values)))
            assert found.not_finite[cell] == len(values) - len(finite(values))


async def test_the_first_point_that_is_not_finite_is_named(world: World) -> None:
    for run in RUNS:
        response = await world.answers.FindNotFinite(
            world.principal, curves_pb2.FindNotFiniteRequest(project=world.project, run=run)
        )
        odd: dict[str, list[tuple[int, int, int]]] = {}
        for (r, metric, rank, step), (_, value, moment) in world.surviving.items():
            if r == run and not math.isfinite(value):
                odd.setdefault(metric, []).append((step, moment, rank))
        assert {one.metric for one in response.metrics} == odd.keys()
        for one in response.metrics:
            assert (one.step, one.time_us, one.rank) == min(odd[one.metric])
            assert (one.points, one.ranks) == (len(odd[one.metric]), len({rank for _, _, rank in odd[one.metric]}))
            assert same(one.value, world.surviving[run, one.metric, one.rank, one.step][1])
        assert [one.step for one in response.metrics] == sorted(one.step for one in response.metrics)


async def test_ranks_are_told_by_progress(world: World) -> None:
    request = curves_pb2.FindStragglersRequest(project=world.project, run="run-a", metric="loss", window=50)
    response = await world.answers.FindStragglers(world.principal, request)
    lasts = {rank: rows[-1][0] for rank, rows in world.series("run-a", "loss").items()}
    assert {one.rank: one.last_step for one in response.ranks} == lasts
    assert response.newest_step == max(lasts.values())
    behind = [one.steps_behind for one in response.ranks]
    assert behind == sorted(behind, reverse=True) and max(behind) == max(lasts.values()) - min(lasts.values())


def test_a_rank_of_slower_steps_is_found_among_a_thousand() -> None:
    progress = [{"rank": rank, "last_step": 1000, "last_us": 10_000_000} for rank in range(1000)]
    paces = {rank: 0.1 + 0.0001 * (rank % 7) for rank in range(1000)}
    paces[613] = 0.15
    progress[40]["last_step"] = 700
    found = judge(progress, paces, 100)
    assert [one.rank for one in found if one.lags] == [40, 613]
    assert found[1].slowdown == pytest.approx(1.5, rel=0.01)
    assert not any(one.lags for one in judge(progress[:10], dict.fromkeys(range(10), 0.1), 100))


@pytest.mark.parametrize("buckets", [3, 1000])
@pytest.mark.parametrize("fields", [[], ["config.lr"], ["config.lr", "group"]])
async def test_groups_of_runs_have_mean_spread_and_band(world: World, buckets: int, fields: list[str]) -> None:
    configs = {"run-a": {"lr": 0.1}, "run-b": {"lr": 0.1}, "run-c": {"lr": 0.01}}
    await world.set_config(configs)
    request = curves_pb2.GetGroupCurvesRequest(
        project=world.project, runs=RUNS, metrics=["loss"], group_by=fields, buckets=buckets
    )
    response = await world.answers.GetGroupCurves(world.principal, request)
    groups: dict[tuple[str, ...], list[str]] = {}
    for run in RUNS:
        values = {"config.lr": json.dumps(configs[run]["lr"]), "group": ""}
        groups.setdefault(tuple(values[field] for field in fields), []).append(run)
    found = {tuple(curve.group): curve for curve in response.curves}
    assert found.keys() == {group for group, runs in groups.items() if any(world.series(run, "loss") for run in runs)}
    for group, runs in groups.items():
        if group not in found:
            continue
        curve = found[group]
        width = curve.bucket_width
        steps = {run: by_step(world, run, "loss") for run in runs}
        buckets_of = {run: {(step + (1 << 53)) // width for step in steps[run]} for run in runs}
        numbers = sorted(set().union(*buckets_of.values()))
        assert len(curve.steps) == len(numbers)
        for index, number in enumerate(numbers):
            inside = {
                run: [ranks for step, ranks in steps[run].items() if (step + (1 << 53)) // width == number]
                for run in runs
            }
            own = [mean(finite([mean_of(list(ranks.values())) for ranks in rows])) for rows in inside.values() if rows]
            points = finite([value for rows in inside.values() for ranks in rows for value in ranks.values()])
            means = finite(own)
            assert curve.counts[index] == len(means)
            assert close(curve.means[index], mean(means))
            assert same(curve.mins[index], min(points, default=math.nan))
            assert same(curve.maxs[index], max(points, default=math.nan))
            if means and max(map(abs, means)) < 1e100:
                assert math.isclose(curve.stds[index], std(means), rel_tol=1e-6, abs_tol=1e-9)


def reference_ema(values: list[float], weight: float) -> list[float]:
    """Weights written out: w^(i-j) for each value before."""
    found = []
    for index in range(len(values)):
        weights = [weight ** (index - j) for j in range(index + 1)]
        found.append(sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights))
    return found


def reference_gaussian(values: list[float], sigma: float) -> list[float]:
    found = []
    reach = min(math.ceil(3 * sigma), len(values) - 1)
    for index in range(len(values)):
        pairs = [
            (math.exp(-0.5 * ((j - index) / sigma) ** 2), values[j])
            for j in range(len(values))
            if abs(j - index) <= reach
        ]
        found.append(sum(w * v for w, v in pairs) / sum(w for w, _ in pairs))
    return found


def reference_average(values: list[float], window: float) -> list[float]:
    before, after = int(window) // 2, (int(window) - 1) // 2
    return [mean(values[max(i - before, 0) : i + after + 1]) for i in range(len(values))]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    ("kind", "amount", "reference"),
    [
        (curves_pb2.Smoothing.KIND_EMA, 0.9, reference_ema),
        (curves_pb2.Smoothing.KIND_EMA, 0.0, reference_ema),
        (curves_pb2.Smoothing.KIND_GAUSSIAN, 2.5, reference_gaussian),
        (curves_pb2.Smoothing.KIND_RUNNING_AVERAGE, 6, reference_average),
        (curves_pb2.Smoothing.KIND_RUNNING_AVERAGE, 1, reference_average),
    ],
)
def test_smoothing_equals_its_definition_and_steps_over_what_is_not_finite(
    kind: curves_pb2.Smoothing.Kind.ValueType,
    amount: float,
    reference: Callable[[list[float], float], list[float]],
    log: bool,
) -> None:
    generator = np.random.default_rng(5)
    values = generator.lognormal(0, 2, 60)
    values[[0, 7, 8, 40]] = [math.nan, math.inf, math.nan, -math.inf]
    values[20] = -3.0
    found = smooth(values, curves_pb2.Smoothing(kind=kind, amount=amount, log=log)).tolist()
    usable = [i for i, v in enumerate(values.tolist()) if math.isfinite(v) and (v > 0 or not log)]
    numbers = [math.log(values[i]) if log else float(values[i]) for i in usable]
    expected = [math.exp(v) if log else v for v in reference(numbers, amount)]
    for place, index in enumerate(usable):
        assert found[index] == pytest.approx(expected[place], rel=1e-9)
    assert math.isnan(found[0]) and found[7] == found[8] == found[6] and found[40] == found[39]


async def test_smoothed_means_come_beside_the_means(world: World) -> None:
    smoothing = curves_pb2.Smoothing(kind=curves_pb2.Smoothing.KIND_EMA, amount=0.5)
    request = pb.GetCurvesRequest(project=world.project, runs=["run-a"], metrics=["loss"], smoothing=smoothing)
    for curve in (await world.answers.GetCurves(world.principal, request)).curves:
        expected = smooth(np.array(curve.means), smoothing)
        assert all(same(a, b) for a, b in zip(curve.smoothed, expected.tolist(), strict=True))
    plain = pb.GetCurvesRequest(project=world.project, runs=["run-a"], metrics=["loss"])
    assert all(not curve.smoothed for curve in (await world.answers.GetCurves(world.principal, plain)).curves)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"smoothing": curves_pb2.Smoothing(kind=1, amount=1.0)}, "an EMA's weight is from 0 to 0.9999"),
        ({"smoothing": curves_pb2.Smoothing(kind=2, amount=-1.0)}, "standard deviation is from 0"),
        ({"smoothing": curves_pb2.Smoothing(kind=3, amount=0.0)}, "a window is of 1 to"),
        ({"smoothing": curves_pb2.Smoothing(kind=1, amount=math.nan)}, "smoothing.amount is nan"),
        ({"x_axis": curves_pb2.X_AXIS_METRIC}, "x_metric goes with x_axis"),
        ({"x_metric": "acc"}, "x_metric goes with x_axis"),
        ({"min_x": 1.0}, "for steps use min_step"),
        ({"x_axis": curves_pb2.X_AXIS_WALL_TIME, "min_x": 2.0, "max_x": 1.0}, "the smaller one first"),
        ({"x_axis": curves_pb2.X_AXIS_WALL_TIME, "min_x": math.nan}, "give numbers"),
        ({"runs": [f"r{n}" for n in range(100)], "metrics": [f"m{n}" for n in range(100)]}, "at most 2000 series"),
    ],
)
async def test_what_cannot_be_drawn_is_refused_with_its_reason(
    world: World, change: dict[str, object], words: str
) -> None:
    fields = {"project": world.project, "runs": ["run-a"], "metrics": ["loss"], **change}
    with pytest.raises(InvalidRequestError, match=words):
        await world.answers.GetCurves(world.principal, pb.GetCurvesRequest(**fields))  # type: ignore[arg-type]
