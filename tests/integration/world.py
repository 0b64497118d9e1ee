"""Projects of random runs, and what must survive of them: NaN, infinities, gaps, repeated steps, rewrites by later
attempts, everything inserted twice in random order."""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from runstream_common.bus.protocol import Origin
from runstream_common.clickhouse.client import ArrowInserter, connect
from runstream_common.identity import version
from runstream_common.objects import MediaConfig, MediaStore
from runstream_control.control_store import ControlStore, Resume
from runstream_control.principal import Principal
from runstream_ingestor.writer.arrow_schemas import to_table
from runstream_ingestor.writer.decode import PointBlock
from runstream_ingestor.writer.document_rows import document_rows
from runstream_ingestor.writer.flush import Insert, to_insert
from runstream_ingestor.writer.point_tables import points_table, series_table
from runstream_query.base.storage import Storage
from runstream_query.methods.query_service import QueryService
from runstream_query.runs.deletion import Deletion
from tests.support.stack import ServiceStack

SEEDS = range(1, 1 + int(os.environ.get("RUNSTREAM_TEST_WORLDS", "1")))
"""`make fuzz` takes more."""
_SURVIVING: dict[int, dict[tuple[str, str, int, int], tuple[int, float, int]]] = {}
"""Of the worlds whose rows are stored already."""
SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, -1e-300]


@dataclass
class World:
    """One project of random runs, and what must survive of them."""

    answers: QueryService
    principal: Principal
    project: str
    surviving: dict[tuple[str, str, int, int], tuple[int, float, int]] = field(default_factory=dict)
    """(run, metric, rank, step) -> (version, value, time)"""

    client: Any = None

    async def set_config(self, configs: Mapping[str, Mapping[str, Any]]) -> None:
        """As the runs' first attempts would."""
        for run, config in configs.items():
            for key, value in config.items():
                await self.client.command(
                    "INSERT INTO run_fields (project, run, section, key, value, version, run_month) "
                    "SELECT {project:String}, {run:String}, 'config', {key:String}, {value:String}, 1, "
                    "toDate('2026-09-01')",
                    parameters={
                        "project": f"main/{self.project}",
                        "run": run,
                        "key": key,
                        "value": json.dumps(value),
                    },
                )

    def series(self, run: str, metric: str, ranks: list[int] | None = None) -> dict[int, list[tuple[int, float]]]:
        """Rank -> [(step, value)], by step."""
        found: dict[int, list[tuple[int, float]]] = {}
        for (r, m, rank, step), (_, value, _) in sorted(self.surviving.items(), key=lambda item: item[0]):
            if (r, m) == (run, metric) and (ranks is None or rank in ranks):
                found.setdefault(rank, []).append((step, value))
        return found


def random_blocks(world: World, seed: int, team: str) -> list[PointBlock]:
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
                        PointBlock(
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


@pytest.fixture(params=SEEDS)
async def world(request: pytest.FixtureRequest, embedded: ServiceStack) -> AsyncIterator[World]:
    seed = request.param
    client = await connect(embedded.clickhouse.config)
    store = ControlStore.open(embedded.control_url)
    principal = await store.authenticate(embedded.key)
    storage = Storage(client)
    deletion = Deletion(client, storage, store, MediaStore(MediaConfig("memory:///")))
    world = World(QueryService(storage, store, deletion), principal, f"truth-{seed}", client=client)
    if seed not in _SURVIVING:
        for run in ("run-a", "run-b", "run-c"):
            await store.bind_stream(
                principal, team="", project=world.project, run=run, writer_id="writer-x", rank=0, resume=Resume.ALLOW
            )
        await _insert(world, seed)
        _SURVIVING[seed] = world.surviving
    world.surviving = dict(_SURVIVING[seed])
    yield world
    await client.close()
    await store.close()


async def _insert(world: World, seed: int) -> None:
    """Each block twice, in several companies, in any order."""
    generator = random.Random(seed)
    blocks = random_blocks(world, seed, "main")
    inserts: list[Insert] = [to_insert("streams", to_table("streams", _starts(world)))]
    for group in (blocks[0::2], blocks[1::2], blocks):
        generator.shuffle(group)
        for start in range(0, len(group), 5):
            part = group[start : start + 5]
            inserts += [to_insert("points", points_table(part)), to_insert("series", series_table(part))]
    generator.shuffle(inserts)
    insert = ArrowInserter(world.client)
    for one in inserts:
        await insert(one.table, one.columns, one.data, one.token)


def _starts(world: World) -> list[dict[str, Any]]:
    from runstream_common.bus.protocol import BusMessage, Delivery, Position
    from runstream_ingestor.writer.decode import DecodedBatch
    from runstream_proto.v1 import ingest_pb2

    rows: list[dict[str, Any]] = []
    for run in ("run-a", "run-b", "run-c"):
        origin = Origin("main", world.project, run, "writer-10", 0, 1, 1_790_000_000_000_000, "u", 1, 0, 0)
        batch = ingest_pb2.Batch(format=1)
        batch.records.add(number=1, time_us=1_790_000_000_000_000).start.world_size = 3
        delivery = Delivery(BusMessage("k", b"", origin), Position("local", 0, 0))
        rows += document_rows(DecodedBatch(delivery, batch))["streams"]
    return rows


def same(got: float, expected: float) -> bool:
    if math.isnan(expected) or math.isnan(got):
        return math.isnan(expected) and math.isnan(got)
    return got == expected or math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-300)


def mean_of(values: list[float]) -> float:
    """Over ranks: a single rank's value is itself; of several, the finite ones."""
    if len(values) == 1:
        return values[0]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
