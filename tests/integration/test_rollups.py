"""Curves from roll-ups equal those from the surviving points: before, while, and after parts are rolled up, merged,
rewritten, delivered again, deleted."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from runstream_common.bus.protocol import Origin
from runstream_common.clickhouse import tombstones
from runstream_common.clickhouse.client import ArrowInserter, connect
from runstream_common.identity import version
from runstream_common.objects import MediaConfig, MediaStore
from runstream_common.service.metrics import Metrics
from runstream_control.control_store import ControlStore, Resume
from runstream_control.principal import Principal
from runstream_ingestor.writer.decode import PointBlock
from runstream_ingestor.writer.flush import to_insert
from runstream_ingestor.writer.point_tables import points_table, series_table
from runstream_proto.v1 import curves_pb2
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.curves import curve_plan, plan_cache
from runstream_query.curves.rollups import resolutions
from runstream_query.curves.rollups.rollup_keeper import RollupKeeper
from runstream_query.methods.query_service import QueryService
from runstream_query.runs.deletion import Deletion
from tests.support.long import LONG
from tests.support.stack import ServiceStack

START_US = 1_790_000_000_000_000
TEAM = "main"


class CountingStorage(Storage):
    """Counts how often each question is asked."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.asked: dict[str, int] = {}

    async def columns(self, name: str, **parameters: Any) -> dict[str, Any]:
        self.asked[name] = self.asked.get(name, 0) + 1
        return await super().columns(name, **parameters)

    async def rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        self.asked[name] = self.asked.get(name, 0) + 1
        return await super().rows(name, **parameters)


@dataclass
class Road:
    """One run whose rows are inserted as the writer would, and what must survive of them."""

    project: str
    storage: CountingStorage
    answers: QueryService
    keeper: RollupKeeper
    client: Any
    principal: Principal
    surviving: dict[int, tuple[int, float, int]] = field(default_factory=dict)
    """Step -> (version, value, time in microseconds)."""
    epoch: int = 1
    number: int = 0

    async def log(self, steps: list[int], values: list[float], epoch: int | None = None, times: int = 1) -> None:
        """Insert rows of these steps, as often as asked for."""
        epoch = epoch or self.epoch
        numbers = list(range(self.number + 1, self.number + 1 + len(steps)))
        self.number += len(steps)
        # A clock that goes with the record numbers: what is logged again is logged later.
        moments = [START_US + 1000 * number for number in numbers]
        versions = [version(epoch, number) for number in numbers]
        origin = Origin(TEAM, self.project, "long", f"writer-{epoch:04d}", 0, epoch, START_US, "u", 1, 0, 0)
        block = PointBlock(
            origin,
            ("loss",),
            np.array(steps, dtype=np.int64),
            np.array(moments, dtype=np.int64),
            np.array(versions, dtype=np.uint64),
            np.array(values, dtype=np.float64).reshape(-1, 1),
        )
        insert = ArrowInserter(self.client)
        for _ in range(times):
            for one in (to_insert("points", points_table([block])), to_insert("series", series_table([block]))):
                await insert(one.table, one.columns, one.data, "")
        for step, value, moment, number in zip(steps, values, moments, versions, strict=True):
            if step not in self.surviving or self.surviving[step][0] < number:
                self.surviving[step] = (number, value, moment)

    async def merge(self) -> None:
        await self.client.command("OPTIMIZE TABLE points FINAL")

    async def curve(self, **fields: Any) -> pb.Curve | None:
        request = pb.GetCurvesRequest(project=self.project, runs=["long"], metrics=["loss"], **fields)
        found = (await self.answers.GetCurves(self.principal, request)).curves
        return found[0] if found else None

    def expect(self, curve: pb.Curve | None, low: int, high: int, min_us: int = 0, max_us: int = 1 << 60) -> None:
        """Against the definition, bucket by bucket."""
        rows = sorted(
            (step, value, moment)
            for step, (_, value, moment) in self.surviving.items()
            if low <= step <= high and min_us <= moment <= max_us
        )
        if curve is None:
            assert not rows
            return
        covered = 0
        for index, (first, last) in enumerate(zip(curve.first_steps, curve.last_steps, strict=True)):
            inside = [row for row in rows if first <= row[0] <= last]
            covered += len(inside)
            finite = [value for _, value, _ in inside if math.isfinite(value)]
            assert (inside[0][0], inside[-1][0]) == (first, last)
            assert last - first < curve.bucket_width
            assert curve.counts[index] == len(inside)
            assert curve.not_finite[index] == len(inside) - len(finite)
            assert same(curve.firsts[index], inside[0][1]) and same(curve.lasts[index], inside[-1][1])
            assert same(curve.mins[index], min(finite, default=math.nan))
            assert same(curve.maxs[index], max(finite, default=math.nan))
            assert same(curve.means[index], sum(finite) / len(finite) if finite else math.nan)
            assert curve.first_times_us[index] == min(moment for _, _, moment in inside)
        assert covered == len(rows)


def same(found: float, expected: float) -> bool:
    return (math.isnan(found) and math.isnan(expected)) or math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)


@pytest.fixture
async def road(
    request: pytest.FixtureRequest, embedded: ServiceStack, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Road]:
    monkeypatch.setattr(curve_plan, "MAX_SHORT", 0)  # every series is a long one
    monkeypatch.setattr(plan_cache, "_REST_S", 0.0)  # what changes is remembered, too
    monkeypatch.setattr(resolutions, "POINTS_A_CELL", 16)
    monkeypatch.setattr(resolutions, "_COARSER_FROM", 2000)
    client = await connect(embedded.clickhouse.config)
    store = ControlStore.open(embedded.control_url)
    principal = await store.authenticate(embedded.key)
    storage = CountingStorage(client)
    deletion = Deletion(client, storage, store, MediaStore(MediaConfig("memory:///")))
    project = "rolled-" + "".join(char if char.isalnum() else "-" for char in request.node.name)
    await store.bind_stream(
        principal, team="", project=project, run="long", writer_id="writer-x", rank=0, resume=Resume.ALLOW
    )
    await client.command(
        "INSERT INTO streams (project, run, writer, event, rank, epoch, world_size, time, run_created, run_month) "
        "SELECT {project:String}, 'long', 'writer-x', 'start', 0, 1, 1, fromUnixTimestamp64Micro({us:Int64}), "
        "fromUnixTimestamp64Micro({us:Int64}), toDate('2026-09-01')",
        parameters={"project": f"{TEAM}/{project}", "us": START_US},
    )
    keeper = RollupKeeper(storage, Metrics(["query"]), 1.0, min_points=200, settled_s=0)
    yield Road(project, storage, QueryService(storage, store, deletion), keeper, client, principal)
    await client.close()
    await store.close()


def noise(generator: random.Random, count: int) -> list[float]:
    odd = [math.nan, math.inf, -math.inf, 1e300]
    return [generator.choice(odd) if generator.random() < 0.02 else generator.gauss(0, 1) for _ in range(count)]


@pytest.mark.parametrize("seed", [1, 2, 3] if LONG else [1])
async def test_whatever_is_rolled_up_curves_tell_of_the_surviving_points(road: Road, seed: int) -> None:
    generator = random.Random(seed)
    begin = generator.choice([0, -1500])
    end = begin
    for turn in range(12):
        match generator.choice(["go on", "go on", "rewrite", "again", "merge", "roll", "roll"]) if turn else "go on":
            case "go on":
                count = generator.randrange(300, 1500)
                stride = generator.choice([1, 1, 3])
                steps = list(range(end, end + count * stride, stride))
                await road.log(steps, noise(generator, count))
                end = steps[-1] + 1
            case "rewrite" if end > begin:
                road.epoch += 1
                low = generator.randrange(begin, end)
                steps = list(range(low, min(low + generator.randrange(1, 600), end)))
                await road.log(steps, noise(generator, len(steps)))
            case "again" if end > begin:
                low = generator.randrange(begin, end)
                await road.log([low, low + 1], [9.0, 9.5], times=3)
                end = max(end, low + 2)
            case "merge":
                await road.merge()
            case "roll":
                while await road.keeper.roll():
                    pass
        for _ in range(3):
            low, high = sorted(generator.randrange(begin - 10, end + 10) for _ in range(2))
            buckets = generator.choice([1, 7, 50, 300, 5000])
            road.expect(await road.curve(buckets=buckets, min_step=low, max_step=high), low, high)
        road.expect(await road.curve(buckets=20), -(1 << 53), 1 << 53)
    await road.merge()
    while await road.keeper.roll():
        pass
    before = road.storage.asked.get("rolled_cells", 0)
    road.expect(await road.curve(buckets=20), -(1 << 53), 1 << 53)
    assert road.storage.asked["rolled_cells"] > before, "the roll-ups were never used"


async def test_a_chart_looked_at_again_is_read_without_asking_what_of_and_is_true_when_that_has_changed(
    road: Road,
) -> None:
    generator = random.Random(5)

    async def look(*, again: bool) -> None:
        """At all of it, and closer: at once if the chart was looked at before, and nothing has changed since."""
        for low, high in ((-(1 << 53), 1 << 53), (1500, 2600)):
            road.storage.asked.clear()
            road.expect(await road.curve(buckets=30, min_step=low, max_step=high), low, high)
            at_once = {"points_elsewhere", "parts_alive", "rolled_cells"} >= road.storage.asked.keys() - {"span_points"}
            assert at_once == again, road.storage.asked
            again = True

    await road.log(list(range(3000)), noise(generator, 3000))
    while await road.keeper.roll():
        pass
    await look(again=False)
    await look(again=True)
    await road.log(list(range(3000, 3050)), noise(generator, 50))
    await look(again=False)
    road.epoch = 2
    await road.log(list(range(2000, 2010)), noise(generator, 10))
    await look(again=False)
    await look(again=True)
    await road.merge()
    while await road.keeper.roll():
        pass
    await look(again=False)
    await road.client.command(
        "DELETE FROM points WHERE project = {project:String} AND step = 1700",
        parameters={"project": f"{TEAM}/{road.project}"},
    )
    del road.surviving[1700]
    road.expect(await road.curve(buckets=30), -(1 << 53), 1 << 53)
    while await road.keeper.roll():
        pass
    await look(again=False)
    await road.client.command(
        "DELETE FROM points WHERE project = {project:String}", parameters={"project": f"{TEAM}/{road.project}"}
    )
    assert await road.curve(buckets=30) is None


async def test_another_rank_is_seen_in_a_chart_looked_at_again(road: Road) -> None:
    await road.log(list(range(3000)), [1.0] * 3000)
    while await road.keeper.roll():
        pass
    for _ in range(2):
        curve = await road.curve(buckets=10)
        assert curve is not None and set(curve.means) == {1.0}
    for table, columns in (("points", "step, value + 2, time, version"), ("series", "last, low")):
        names = columns.replace(" + 2", "")
        await road.client.command(
            f"INSERT INTO {table} (project, run, metric, rank, {names}, run_month) "
            f"SELECT project, run, metric, 1, {columns}, run_month FROM {table} WHERE project = {{project:String}}",
            parameters={"project": f"{TEAM}/{road.project}"},
        )
    curve = await road.curve(buckets=10)
    assert curve is not None and set(curve.means) == {2.0}, "of two ranks"


async def test_a_range_of_times_takes_the_points_in_it_and_no_others(road: Road) -> None:
    generator = random.Random(7)
    await road.log(list(range(6000)), noise(generator, 6000))
    road.epoch = 2
    await road.log(list(range(2000, 2500)), noise(generator, 500))  # later by the clock, earlier by step
    await expect_ranges_of_time(road)  # of points: what supersedes them may lie outside the range
    await road.merge()
    while await road.keeper.roll():
        pass
    await expect_ranges_of_time(road)


async def expect_ranges_of_time(road: Road) -> None:
    for low, high in [(0.5, 3.2), (0.0, 100.0), (2.1, 2.2), (6.1, 6.4), (90.0, 95.0)]:
        curve = await road.curve(
            buckets=30, x_axis=curves_pb2.X_AXIS_WALL_TIME, min_x=START_US / 1e6 + low, max_x=START_US / 1e6 + high
        )
        min_us, max_us = START_US + round(low * 1e6), START_US + round(high * 1e6)
        road.expect(curve, -(1 << 53), 1 << 53, min_us, max_us)
        if curve is not None:
            assert list(curve.xs) == [moment / 1e6 for moment in curve.first_times_us]
            assert len(curve.xs) > 5, "a range of times has buckets of its own"


async def test_deleted_points_are_in_no_curve_though_their_roll_ups_were(road: Road) -> None:
    await road.log(list(range(3000)), [1.0] * 3000)
    await road.merge()
    while await road.keeper.roll():
        pass
    assert await road.curve(buckets=10) is not None
    stone = tombstones.Tombstone(f"{TEAM}/{road.project}", "long", 1)
    await tombstones.write(road.client, [stone], "tester")
    await tombstones.purge(road.client, [stone])
    columns = await road.storage.rows("rolled_series", project=stone.project, runs=["long"], metrics=["loss"], ranks=[])
    assert columns == []
    for table in tombstones.ROLLUP_TABLES:
        left = await road.client.query(
            f"SELECT count() FROM {table} WHERE project = {{project:String}}", parameters={"project": stone.project}
        )
        assert left.result_rows == [(0,)]


async def test_a_part_that_is_replaced_while_a_curve_is_planned_answers_for_nothing(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its roll-ups are still there, and no other part has the points that were deleted from it."""
    await road.log(list(range(3000)), [1.0] * 3000)
    while await road.keeper.roll():
        pass
    usual = road.storage.rows

    async def rows(name: str, **parameters: Any) -> list[dict[str, Any]]:
        if name == "other_parts" and 0 in road.surviving:
            await road.client.command(
                "DELETE FROM points WHERE project = {project:String} AND step < 1000",
                parameters={"project": f"{TEAM}/{road.project}"},
            )
            for step in range(1000):
                del road.surviving[step]
        return await usual(name, **parameters)

    monkeypatch.setattr(road.storage, "rows", rows)
    road.expect(await road.curve(buckets=30), -(1 << 53), 1 << 53)
    assert 0 not in road.surviving, "the curve was planned without roll-ups"


async def test_questions_while_parts_are_merged_and_rolled_up_are_answered_right(road: Road) -> None:
    generator = random.Random(11)
    for start in range(0, 8000, 1000):
        await road.log(list(range(start, start + 1000)), noise(generator, 1000))

    async def disturb() -> None:
        for _ in range(4):
            while await road.keeper.roll():
                pass
            await road.merge()

    disturbing = asyncio.ensure_future(disturb())
    asked = 0
    while not disturbing.done() or asked < 10:
        road.expect(await road.curve(buckets=generator.choice([10, 100])), -(1 << 53), 1 << 53)
        asked += 1
    await disturbing


async def test_what_is_kept_of_parts_that_are_gone_is_removed(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstream_query.curves.rollups.rollup_keeper._DEAD_FOR_S", 0.0)
    await road.log(list(range(1000)), [1.0] * 1000)
    while await road.keeper.roll():
        pass
    await road.log(list(range(1000, 2000)), [1.0] * 1000)
    await road.merge()
    while await road.keeper.roll():
        pass
    assert await road.keeper.forget() > 0
    alive = "SELECT name FROM system.parts WHERE active AND table = 'points'"
    for table in ("rollups", "rolled_series", "rolled_parts"):
        left = await road.client.query(f"SELECT count() FROM {table} WHERE part NOT IN ({alive})")
        assert left.result_rows == [(0,)], table
    road.expect(await road.curve(buckets=10), -(1 << 53), 1 << 53)


STEPS = 10_000_000 if LONG else 2_000_000


async def test_a_spike_of_one_step_in_millions_is_on_the_screen(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolutions, "POINTS_A_CELL", 128)
    project, spike = f"{TEAM}/{road.project}", STEPS * 3 // 4 + 4321
    values = {"project": project, "spike": spike, "steps": STEPS}
    await road.client.command(
        "INSERT INTO points SELECT {project:String}, 'long', 'loss', 0, number, "
        "if(number = {spike:UInt64}, 1e6, sin(number)), "
        "fromUnixTimestamp64Micro(toInt64(1790000000000000 + number)), number + 1, toDate('2026-09-01') "
        "FROM numbers({steps:UInt64})",
        parameters=values,
    )
    await road.client.command(
        "INSERT INTO series SELECT {project:String}, 'long', 'loss', 0, "
        "(toInt64({steps:UInt64} - 1), {steps:UInt64}, 0., now64(6)), 0, "
        "toDate('2026-09-01')",
        parameters=values,
    )
    for rolled in (False, True):
        while rolled and await road.keeper.roll():
            pass
        curve = await road.curve(buckets=1000)
        assert curve is not None and 700 < len(curve.maxs) <= 1000
        at = int(np.argmax(curve.maxs))
        assert curve.maxs[at] == 1e6 and curve.first_steps[at] <= spike <= curve.last_steps[at]
        assert sum(curve.counts) == STEPS
        # Before, only a service that runs beside this test may have rolled it up.
        assert "rolled_cells" in road.storage.asked or not rolled
        nearer = await road.curve(buckets=1000, min_step=spike - 300, max_step=spike + 300)
        assert nearer is not None and nearer.firsts[300] == 1e6 and nearer.first_steps[300] == spike
