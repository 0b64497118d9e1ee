"""Every answer equals the one computed slowly, in plain Python, from the surviving rows: with NaN, infinities, gaps,
repeated steps, rewrites by later attempts, and everything inserted twice in random order."""

from __future__ import annotations

import math
from typing import Any

import pytest

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.storage import Storage
from tests.integration.world import World, mean_of, same


async def test_history_is_the_surviving_rows_in_order_page_by_page(world: World) -> None:
    for run in ("run-a", "run-b"):
        request = pb.GetHistoryRequest(project=world.project, run=run, metrics=["loss", "acc", "ä/b c"], page_size=37)
        got: list[tuple[str, int, int, float, int]] = []
        while True:
            response = await world.answers.curves.GetHistory(world.principal, request)
            for series in response.series:
                rows = zip(series.steps, series.values, series.times_us, strict=True)
                got += [(series.metric, series.rank, step, value, moment) for step, value, moment in rows]
            if not response.next_page_token:
                break
            request.page_token = response.next_page_token
        expected = [
            (metric, rank, step, value, moment)
            for (r, metric, rank, step), (_, value, moment) in sorted(
                world.surviving.items(), key=lambda item: (item[0][1].encode(), item[0][2], item[0][3])
            )
            if r == run
        ]
        assert [row[:3] + row[4:] for row in got] == [row[:3] + row[4:] for row in expected]
        assert all(same(a[3], b[3]) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("buckets", [1, 7, 50, 10_000])
@pytest.mark.parametrize("bounds", [(None, None), (0, 99), (37, 37)])
@pytest.mark.parametrize("selection", [pb.RANK_SELECTION_MEAN, pb.RANK_SELECTION_EACH, pb.RANK_SELECTION_ONE])
async def test_curves_hide_nothing(
    world: World, buckets: int, bounds: tuple[int | None, int | None], selection: pb.RankSelection.ValueType
) -> None:
    request = pb.GetCurvesRequest(
        project=world.project,
        runs=["run-a", "run-c"],
        metrics=["loss", "acc"],
        buckets=buckets,
        selection=selection,
        rank=1,
        min_step=bounds[0],
        max_step=bounds[1],
    )
    response = await world.answers.curves.GetCurves(world.principal, request)
    low, high = bounds[0] if bounds[0] is not None else -(10**9), bounds[1] if bounds[1] is not None else 10**9
    expected_curves = 0
    found = {(curve.run, curve.metric, curve.rank): curve for curve in response.curves}
    for run in ("run-a", "run-c"):
        for metric in ("loss", "acc"):
            ranks = [1] if selection == pb.RANK_SELECTION_ONE else None
            series = world.series(run, metric, ranks)
            inside = {
                rank: kept for rank, rows in series.items() if (kept := [row for row in rows if low <= row[0] <= high])
            }
            groups = (
                {0: inside} if selection == pb.RANK_SELECTION_MEAN else {r: {r: rows} for r, rows in inside.items()}
            )
            for rank, members in groups.items():
                if not any(members.values()):
                    continue
                expected_curves += 1
                check_curve(found[run, metric, rank], members, buckets)
    assert len(response.curves) == expected_curves


def check_curve(curve: pb.Curve, members: dict[int, list[tuple[int, float]]], buckets: int) -> None:
    """Against the definition: bucket by bucket."""
    by_step: dict[int, list[float]] = {}
    for rows in members.values():
        for step, value in rows:
            by_step.setdefault(step, []).append(value)
    # The buckets' width and origin are the server's to choose; each step must lie in exactly one, in order.
    edges = list(zip(curve.first_steps, curve.last_steps, strict=True))
    assert all(first <= last for first, last in edges)
    assert all(a[1] < b[0] for a, b in zip(edges, edges[1:], strict=False))
    assert len(edges) <= buckets or curve.bucket_width == 1
    covered = []
    for index, (first, last) in enumerate(edges):
        steps = sorted(step for step in by_step if first <= step <= last)
        covered += steps
        assert (steps[0], steps[-1]) == (first, last)
        assert last - first < curve.bucket_width
        points = [value for step in steps for value in by_step[step]]
        finite = [value for value in points if math.isfinite(value)]
        means = [mean_of(by_step[step]) for step in steps]
        assert curve.counts[index] == len(points)
        assert curve.not_finite[index] == len(points) - len(finite)
        assert same(curve.mins[index], min(finite, default=math.nan))
        assert same(curve.maxs[index], max(finite, default=math.nan))
        assert same(curve.firsts[index], means[0]) and same(curve.lasts[index], means[-1])
        real = [value for value in means if math.isfinite(value)]
        assert same(curve.means[index], sum(real) / len(real) if real else math.nan)
    assert covered == sorted(by_step)


async def test_rows_that_are_superseded_are_in_no_curve_before_and_after_they_are_merged_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    usual = Storage.table

    async def counted(self: Storage, name: str, **parameters: Any) -> Any:
        asked.append(name)
        return await usual(self, name, **parameters)

    monkeypatch.setattr(Storage, "table", counted)
    request = pb.GetCurvesRequest(
        project=world.project, runs=["run-a", "run-c"], metrics=["loss", "acc"], selection=pb.RANK_SELECTION_EACH
    )

    async def ask(*statements: str) -> None:
        asked.clear()
        response = await world.answers.curves.GetCurves(world.principal, request)
        assert asked == list(statements)
        assert len(response.curves) > 5
        for curve in response.curves:
            check_curve(curve, {curve.rank: world.series(curve.run, curve.metric)[curve.rank]}, 1000)

    await world.client.command("SYSTEM STOP MERGES points")
    try:
        await world.client.command(
            "INSERT INTO points SELECT project, run, metric, rank, step, 12345.0, time, 0, run_month FROM points "
            "WHERE project = {project:String} AND run = 'run-a' AND metric IN ('loss', 'acc') LIMIT 5",
            parameters={"project": f"main/{world.project}"},
        )
        await ask("short_series_unmerged", "short_series_final")
    finally:
        await world.client.command("SYSTEM START MERGES points")
    await world.client.command("OPTIMIZE TABLE points FINAL")
    await ask("short_series_unmerged")


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("aggregate", [pb.AGGREGATE_LAST, pb.AGGREGATE_MIN, pb.AGGREGATE_MAX, pb.AGGREGATE_MEAN])
async def test_ranking_follows_its_stated_rules(
    world: World, aggregate: pb.Aggregate.ValueType, ascending: bool
) -> None:
    request = pb.RankRunsRequest(project=world.project, metric="loss", aggregate=aggregate, ascending=ascending)
    response = await world.answers.ranking.RankRuns(world.principal, request)
    expected = []
    for run in ("run-a", "run-b", "run-c"):
        series = world.series(run, "loss")
        if not series:
            continue
        lasts = [rows[-1][1] for rows in series.values()]
        numbers = [value for rows in series.values() for _, value in rows if not math.isnan(value)]
        value = {
            pb.AGGREGATE_LAST: sum(lasts) / len(lasts),
            pb.AGGREGATE_MIN: min(numbers, default=math.nan),
            pb.AGGREGATE_MAX: max(numbers, default=math.nan),
            pb.AGGREGATE_MEAN: sum(numbers) / len(numbers) if numbers else math.nan,
        }[aggregate]
        expected.append((run, value))
    expected.sort(
        key=lambda pair: (
            math.isnan(pair[1]),
            0 if math.isnan(pair[1]) else (pair[1] if ascending else -pair[1]),
            pair[0],
        )
    )
    assert [found.run.id for found in response.runs] == [run for run, _ in expected]
    assert all(same(found.value, value) for found, (_, value) in zip(response.runs, expected, strict=True))
    assert [found.place for found in response.runs] == list(range(1, len(expected) + 1))


@pytest.mark.parametrize("page_size", [1, 2, 1000])
async def test_metrics_and_summary_are_the_last_surviving_values(world: World, page_size: int) -> None:
    request = pb.ListMetricsRequest(project=world.project, run="run-a", page_size=page_size)
    metrics: list[pb.Metric] = []
    while True:
        response = await world.answers.fields.ListMetrics(world.principal, request)
        metrics += response.metrics
        if not response.next_page_token:
            break
        request.page_token = response.next_page_token
    names = sorted({metric for run, metric, _, _ in world.surviving if run == "run-a"}, key=str.encode)
    assert [metric.name for metric in metrics] == names
    for metric in metrics:
        series = world.series("run-a", metric.name)
        assert metric.ranks == len(series)
        assert metric.last_step == max(rows[-1][0] for rows in series.values())
        lasts = [rows[-1][1] for rows in series.values()]
        assert same(metric.last_value, sum(lasts) / len(lasts))
