"""Every answer equals the one computed slowly, in plain Python, from the surviving rows: with NaN, infinities, gaps,
repeated steps, rewrites by later attempts, and everything inserted twice in random order."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from runstream_common.bus.protocol import Origin
from runstream_common.clickhouse import ArrowInserter, connect
from runstream_common.control.store import ControlStore, Principal, Resume
from runstream_common.identity import version
from runstream_common.objects import MediaConfig, MediaStore
from runstream_ingestor.writer.columns import points_table, series_table
from runstream_ingestor.writer.decode import Block
from runstream_ingestor.writer.documents import document_rows
from runstream_ingestor.writer.store import Insert, to_insert
from runstream_ingestor.writer.tables import to_table
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.answers import Answers
from runstream_query.deletion import Deletion
from runstream_query.storage import Storage
from tests.support.stack import ServiceStack

SEEDED: set[int] = set()
"""Worlds whose rows are stored already."""
SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, -1e-300]


@dataclass
class World:
    """One project of random runs, and what must survive of them."""

    answers: Answers
    principal: Principal
    project: str
    surviving: dict[tuple[str, str, int, int], tuple[int, float, int]] = field(default_factory=dict)
    """(run, metric, rank, step) -> (version, value, time)"""

    def series(self, run: str, metric: str, ranks: list[int] | None = None) -> dict[int, list[tuple[int, float]]]:
        """Rank -> [(step, value)], by step."""
        found: dict[int, list[tuple[int, float]]] = {}
        for (r, m, rank, step), (_, value, _) in sorted(self.surviving.items(), key=lambda item: item[0]):
            if (r, m) == (run, metric) and (ranks is None or rank in ranks):
                found.setdefault(rank, []).append((step, value))
        return found


def random_blocks(world: World, seed: int, team: str) -> list[Block]:
    generator = random.Random(seed)
    blocks = []
    for run in ("run-a", "run-b", "run-c"):
        for epoch in range(1, 4):
            for rank in range(3):
                origin = Origin(
                    team, world.project, run, f"writer-{epoch}{rank}", rank, epoch, 1_790_000_000_000_000, "u", 1, 0, 0
                )
                number = 1
                for _ in range(generator.randrange(1, 4)):
                    keys = tuple(generator.sample(["loss", "acc", "ä/b c"], generator.randrange(1, 4)))
                    rows = generator.randrange(1, 60)
                    steps = [generator.randrange(-20, 150) for _ in range(rows)]
                    values = [
                        [
                            generator.choice(SPECIAL) if generator.random() < 0.1 else generator.gauss(0, 10)
                            for _ in keys
                        ]
                        for _ in range(rows)
                    ]
                    numbers = list(range(number, number + rows))
                    number += rows
                    times = [1_790_000_000_000_000 + 1000 * n for n in numbers]
                    blocks.append(
                        Block(
                            origin,
                            keys,
                            np.array(steps, dtype=np.int64),
                            np.array(times, dtype=np.int64),
                            np.array([version(epoch, n) for n in numbers], dtype=np.uint64),
                            np.array(values),
                        )
                    )
                    for step, moment, n, row in zip(steps, times, numbers, values, strict=True):
                        for key, value in zip(keys, row, strict=True):
                            place = (run, key, rank, step)
                            candidate = (version(epoch, n), value, moment)
                            if place not in world.surviving or world.surviving[place][0] < candidate[0]:
                                world.surviving[place] = candidate
    return blocks


@pytest.fixture(params=[1, 2, 3, 4])
async def world(request: pytest.FixtureRequest, embedded: ServiceStack) -> AsyncIterator[World]:
    seed = request.param
    generator = random.Random(seed)
    client = await connect(embedded.clickhouse.config)
    store = ControlStore.open(embedded.control_url)
    principal = await store.authenticate(embedded.key)
    storage = Storage(client)
    deletion = Deletion(client, storage, store, MediaStore(MediaConfig("memory:///")))
    world = World(Answers(storage, store, deletion), principal, f"truth-{seed}")
    for run in ("run-a", "run-b", "run-c"):
        await store.bind_stream(
            principal, team="", project=world.project, run=run, writer_id="writer-x", rank=0, resume=Resume.ALLOW
        )
    blocks = random_blocks(world, seed, "main")
    inserts: list[Insert] = [to_insert("streams", to_table("streams", _starts(world)))]
    for group in (blocks[0::2], blocks[1::2], blocks):  # each block twice, in several companies
        generator.shuffle(group)
        for start in range(0, len(group), 5):
            part = group[start : start + 5]
            inserts += [to_insert("points", points_table(part)), to_insert("series", series_table(part))]
    generator.shuffle(inserts)
    insert = ArrowInserter(client)
    for one in inserts if seed not in SEEDED else ():
        await insert(one.table, one.columns, one.data, one.token)
    SEEDED.add(seed)
    yield world
    await client.close()
    await store.close()


def _starts(world: World) -> list[dict[str, Any]]:
    from runstream_common.bus.protocol import BusMessage, Delivery, Position
    from runstream_ingestor.writer.decode import Decoded
    from runstream_proto.v1 import ingest_pb2

    rows: list[dict[str, Any]] = []
    for run in ("run-a", "run-b", "run-c"):
        origin = Origin("main", world.project, run, "writer-10", 0, 1, 1_790_000_000_000_000, "u", 1, 0, 0)
        batch = ingest_pb2.Batch(format=1)
        batch.records.add(number=1, time_us=1_790_000_000_000_000).start.world_size = 3
        delivery = Delivery(BusMessage("k", b"", origin), Position("local", 0, 0))
        rows += document_rows(Decoded(delivery, batch))["streams"]
    return rows


def same(got: float, expected: float) -> bool:
    if math.isnan(expected) or math.isnan(got):
        return math.isnan(expected) and math.isnan(got)
    return got == expected or math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-300)


async def test_history_is_the_surviving_rows_in_order_page_by_page(world: World) -> None:
    for run in ("run-a", "run-b"):
        request = pb.GetHistoryRequest(project=world.project, run=run, metrics=["loss", "acc", "ä/b c"], page_size=37)
        got: list[tuple[str, int, int, float, int]] = []
        while True:
            response = await world.answers.GetHistory(world.principal, request)
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
    response = await world.answers.GetCurves(world.principal, request)
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


def mean_of(values: list[float]) -> float:
    """Over ranks: a single rank's value is itself; of several, the finite ones."""
    if len(values) == 1:
        return values[0]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("aggregate", [pb.AGGREGATE_LAST, pb.AGGREGATE_MIN, pb.AGGREGATE_MAX, pb.AGGREGATE_MEAN])
async def test_ranking_follows_its_stated_rules(
    world: World, aggregate: pb.Aggregate.ValueType, ascending: bool
) -> None:
    request = pb.RankRunsRequest(project=world.project, metric="loss", aggregate=aggregate, ascending=ascending)
    response = await world.answers.RankRuns(world.principal, request)
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


async def test_metrics_and_summary_are_the_last_surviving_values(world: World) -> None:
    response = await world.answers.ListMetrics(
        world.principal, pb.ListMetricsRequest(project=world.project, run="run-a", page_size=2)
    )
    second = await world.answers.ListMetrics(
        world.principal,
        pb.ListMetricsRequest(project=world.project, run="run-a", page_size=2, page_token=response.next_page_token),
    )
    metrics = [*response.metrics, *second.metrics]
    names = sorted({metric for run, metric, _, _ in world.surviving if run == "run-a"}, key=str.encode)
    assert [metric.name for metric in metrics] == names
    for metric in metrics:
        series = world.series("run-a", metric.name)
        assert metric.ranks == len(series)
        assert metric.last_step == max(rows[-1][0] for rows in series.values())
        lasts = [rows[-1][1] for rows in series.values()]
        assert same(metric.last_value, sum(lasts) / len(lasts))
