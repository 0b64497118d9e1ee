"""Rankings and Pareto fronts equal a slow reference in plain Python: NaN, infinities, several ranks, two attempts."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from runstream_proto.v1 import query_pb2 as pb
from tests.integration.many_runs import PROJECT, RUNS, Asked
from tests.integration.reference import matches
from tests.integration.world import same

Points = dict[tuple[int, int], float]


def aggregated(points: Points, aggregate: pb.Aggregate.ValueType) -> float:
    if aggregate == pb.AGGREGATE_LAST:
        ranks = {rank for rank, _ in points}
        lasts = [points[rank, max(step for r, step in points if r == rank)] for rank in sorted(ranks)]
        return sum(lasts) / len(lasts)
    numbers = [value for value in points.values() if not math.isnan(value)]
    if not numbers:
        return math.nan
    if aggregate == pb.AGGREGATE_MEAN:
        return sum(numbers) / len(numbers)
    return min(numbers) if aggregate == pb.AGGREGATE_MIN else max(numbers)


def by_step(points: Points) -> dict[int, float]:
    """Mean over ranks, NaN left out."""
    found: dict[int, float] = {}
    for step in {step for _, step in points}:
        numbers = [v for (_, s), v in points.items() if s == step and not math.isnan(v)]
        if numbers and not math.isnan(mean := sum(numbers) / len(numbers)):
            found[step] = mean
    return found


def at_best(points: dict[str, Points], metric: str, at: str, minimize: bool) -> tuple[float, int] | None:
    selector = by_step(points.get(at, {}))
    if not selector:
        return None
    step = min(selector, key=lambda s: (selector[s] if minimize else -selector[s], s))
    before = [s for s in by_step(points.get(metric, {})) if s <= step]
    return (by_step(points[metric])[max(before)] if before else math.nan), step


def in_order(values: dict[str, float], ascending: bool) -> list[str]:
    def key(run: str) -> Any:
        value = values[run]
        return math.isnan(value), 0 if math.isnan(value) else value if ascending else -value, run

    return sorted(values, key=key)


@pytest.mark.parametrize("condition", [{}, {"state": "finished"}, {"config.opt": {"$exists": True}}], ids=json.dumps)
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("aggregate", pb.Aggregate.values()[1:])
async def test_ranking_by_one_number_a_run(
    asked: Asked, aggregate: pb.Aggregate.ValueType, ascending: bool, condition: dict[str, Any]
) -> None:
    response = await asked.answers.ranking.RankRuns(
        asked.principal,
        pb.RankRunsRequest(
            project=PROJECT, metric="loss", aggregate=aggregate, ascending=ascending, limit=1000,
            filter=json.dumps(condition) if condition else "", fields=["none"],
        ),
    )  # fmt: skip
    expected = {
        run["id"]: aggregated(RUNS.points[run["id"]]["loss"], aggregate)
        for run in RUNS.runs
        if "loss" in RUNS.points[run["id"]] and matches(run, condition)
    }
    assert [found.run.id for found in response.runs] == in_order(expected, ascending)
    assert all(same(found.value, expected[found.run.id]) for found in response.runs)
    assert [found.place for found in response.runs] == list(range(1, len(expected) + 1))


@pytest.mark.parametrize("minimize", [True, False])
@pytest.mark.parametrize(("metric", "at"), [("acc", "loss"), ("loss", "loss"), ("é/m", "acc")])
async def test_ranking_at_the_step_that_another_metric_chooses(
    asked: Asked, metric: str, at: str, minimize: bool
) -> None:
    goal = pb.GOAL_MINIMIZE if minimize else pb.GOAL_MAXIMIZE
    request = pb.RankRunsRequest(
        project=PROJECT, metric=metric, at=at, at_goal=goal, limit=1000, fields=["none"], sweep_id="s1"
    )
    response = await asked.answers.ranking.RankRuns(asked.principal, request)
    chosen = {run["id"] for run in RUNS.runs if run.get("sweep_id") == "s1"}
    found = {run: at_best(points, metric, at, minimize) for run, points in RUNS.points.items() if run in chosen}
    expected = {run: pair for run, pair in found.items() if pair is not None}
    values = {run: value for run, (value, _) in expected.items()}
    assert [one.run.id for one in response.runs] == in_order(values, ascending=False)
    for one in response.runs:
        assert same(one.value, values[one.run.id])
        assert one.at_step == expected[one.run.id][1]


async def test_the_best_of_many_are_the_first_of_all(asked: Asked) -> None:
    whole = pb.RankRunsRequest(project=PROJECT, metric="loss", filter='{"state": "finished"}', limit=1000)
    best = pb.RankRunsRequest(project=PROJECT, metric="loss", filter='{"state": "finished"}', limit=3)
    expected = [one.run.id for one in (await asked.answers.ranking.RankRuns(asked.principal, whole)).runs][:3]
    assert [one.run.id for one in (await asked.answers.ranking.RankRuns(asked.principal, best)).runs] == expected
    assert len(expected) == 3


async def test_the_front_is_what_no_run_beats(asked: Asked) -> None:
    objectives = [
        pb.RunObjective(metric="loss", aggregate=pb.AGGREGATE_MIN),
        pb.RunObjective(metric="acc", aggregate=pb.AGGREGATE_MAX, goal=pb.GOAL_MAXIMIZE),
        pb.RunObjective(metric="é/m", at="loss"),
    ]
    for count in (2, 3):
        request = pb.GetParetoFrontRequest(project=PROJECT, objectives=objectives[:count], layers=20)
        response = await asked.answers.ranking.GetParetoFront(asked.principal, request)
        costs: dict[str, tuple[float, ...]] = {}
        for run, points in RUNS.points.items():
            at = at_best(points, "é/m", "loss", True)
            row = (
                aggregated(points["loss"], pb.AGGREGATE_MIN) if "loss" in points else math.nan,
                -aggregated(points["acc"], pb.AGGREGATE_MAX) if "acc" in points else math.nan,
                at[0] if at else math.nan,
            )[:count]
            if not any(math.isnan(value) for value in row):
                costs[run] = row
        assert response.compared == len(costs)
        left, layer, expected = dict(costs), 0, {}
        while left and layer < 20:
            layer += 1
            front = {run for run, row in left.items() if not any(beats(other, row) for other in left.values())}
            expected.update(dict.fromkeys(front, layer))
            left = {run: row for run, row in left.items() if run not in front}
        assert {run.run: run.layer for run in response.runs} == expected
        order = [(run.layer, run.values[0], run.run) for run in response.runs]
        assert order == sorted(order)


def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


async def test_axes_have_kinds_ranges_and_the_values_of_each_run(asked: Asked) -> None:
    request = pb.GetParallelCoordinatesRequest(
        project=PROJECT,
        axes=["config.opt", "summary.loss", "created_at", "duration", "state"],
        order=["id"],
        limit=1000,
    )
    response = await asked.answers.explaining.GetParallelCoordinates(asked.principal, request)
    runs = sorted(RUNS.runs, key=lambda run: run["id"])
    assert list(response.runs) == [run["id"] for run in runs]
    assert list(response.names) == [run["name"] for run in runs]
    opt, _, created, duration, state = response.axes
    assert (opt.kind, created.kind, duration.kind) == (
        pb.AXIS_KIND_CATEGORY, pb.AXIS_KIND_TIME, pb.AXIS_KIND_NUMBER,
    )  # fmt: skip
    assert (duration.min, duration.max) == (min(r["duration"] for r in runs), max(r["duration"] for r in runs))
    assert [state.categories[int(place)] for place in state.values] == [run["state"] for run in runs]
    for place, run in zip(opt.values, runs, strict=True):
        assert math.isnan(place) == (run.get("config.opt") is None)


async def test_deleting_a_run_and_a_metric_leaves_neither_in_any_answer(asked: Asked) -> None:
    """Also in the projections by key, which filters and rankings read."""
    await asked.copy("gone")
    delete = pb.DeleteMetricRequest(project="gone", run="run-000", metric="loss")
    await asked.answers.deletion.DeleteMetric(asked.principal, delete)
    await asked.answers.deletion.DeleteRuns(asked.principal, pb.DeleteRunsRequest(project="gone", runs=["run-001"]))
    dead = {"run-000", "run-001"}
    listed = await asked.answers.listing.ListRuns(asked.principal, pb.ListRunsRequest(project="gone", page_size=1000))
    assert {run.id for run in listed.runs} == {run["id"] for run in RUNS.runs} - {"run-001"}
    ranked = await asked.answers.ranking.RankRuns(
        asked.principal, pb.RankRunsRequest(project="gone", metric="loss", limit=1000, fields=["none"])
    )
    assert not dead & {one.run.id for one in ranked.runs} and ranked.runs
    fields = await asked.answers.fields.ListFields(asked.principal, pb.ListFieldsRequest(project="gone"))
    counts = {field.field: field.runs for field in fields.fields}
    living = [run for run in RUNS.runs if run["id"] != "run-001"]
    assert counts["config.lr"] == sum("config.lr" in run for run in living)
    found = await asked.answers.listing.ListRuns(
        asked.principal,
        pb.ListRunsRequest(project="gone", filter='{"config.lr": {"$exists": true}}', page_size=1000, fields=["none"]),
    )
    assert {run.id for run in found.runs} == {run["id"] for run in living if "config.lr" in run}
