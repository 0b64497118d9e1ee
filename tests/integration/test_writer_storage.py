"""The writer against the real engine: tokens that save work and prove nothing, and deletion that nothing undoes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from runstream_common.bus.protocol import BusMessage, Delivery, Origin, Position
from runstream_common.clickhouse import tombstones
from runstream_common.clickhouse.client import ArrowInserter, connect
from runstream_common.clickhouse.tombstones import Tombstone
from runstream_common.service.metrics import Metrics
from runstream_ingestor.writer.decode import DecodedBatch, decode
from runstream_ingestor.writer.deletion_filter import TombstoneFilter
from runstream_ingestor.writer.flush import prepare, store
from runstream_ingestor.writer.instruments import WriterInstruments
from runstream_proto.v1 import ingest_pb2 as pb
from tests.support.stack import ServiceStack

NOW_US = 1_790_000_000_000_000


class Road:
    """Batches of one run into ClickHouse, by the writer's own parts."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.project = f"team/p-{uuid.uuid4().hex[:8]}"
        self.undertaker = TombstoneFilter(client, WriterInstruments(Metrics(["writer"])))

    def batch(self, number: int, epoch: int = 1, topic: str = "topic") -> DecodedBatch:
        """Ten steps of two metrics, and a note."""
        team, _, project = self.project.partition("/")
        origin = Origin(team, project, "run", "writer-0001", 0, epoch, NOW_US, "user", number, 0, NOW_US)
        made = pb.Batch(
            format=1, writer_id="writer-0001", first_record=number * 10, last_record=number * 10 + 10, points=20
        )
        made.run.team, made.run.project, made.run.run = team, project, "run"
        made.frames.add(
            keys=["loss", "accuracy"],
            rows=10,
            first_step=number * 10,
            first_time_us=NOW_US,
            time_deltas=bytes(9),
            first_number=number * 10,
            values=bytes(160),
        )
        note = made.records.add(number=number * 10 + 10, time_us=NOW_US)
        note.text.key, note.text.step, note.text.value = "note", number, "words"
        message = BusMessage("key", made.SerializeToString(), origin)
        return decode(Delivery(message, Position(topic, 0, number)))

    async def store(self, batches: list[DecodedBatch], tokens: bool = True) -> None:
        await store(prepare(batches, []), ArrowInserter(self.client, tokens), self.retry)

    async def retry(self, error: Exception) -> None:
        raise error

    async def count(self, table: str = "points", final: bool = False) -> int:
        result = await self.client.query(
            f"SELECT count() FROM {table} {'FINAL' if final else ''} WHERE project = {{project:String}}",
            parameters={"project": self.project},
        )
        return int(result.result_rows[0][0])

    async def gone(self, table: str) -> None:
        """The engine has noted that the rows are to go, and does it in its own time."""
        async with asyncio.timeout(60):
            while await self.count(table):
                await asyncio.sleep(0.05)


@pytest.fixture
async def road(embedded: ServiceStack) -> AsyncIterator[Road]:
    client = await connect(embedded.clickhouse.config)
    yield Road(client)
    await client.close()


async def test_the_same_flush_again_is_dropped_by_its_token(road: Road) -> None:
    await road.client.command("SYSTEM STOP MERGES points")
    for _ in range(3):
        await road.store([road.batch(1), road.batch(2)])
    assert await road.count() == 40
    await road.store([road.batch(1), road.batch(2)], tokens=False)
    assert await road.count() == 80, "without a token the block is there twice"
    assert await road.count(final=True) == 40, "and its rows once"
    await road.client.command("SYSTEM START MERGES points")


async def test_other_contents_at_the_same_offsets_are_no_repetition(road: Road) -> None:
    """A topic that was made anew counts from nought again: its batches must not be taken for the old ones."""
    await road.store([road.batch(1)])
    other = road.batch(2)
    other.delivery = replace(other.delivery, position=Position("topic", 0, 1))
    await road.store([other])
    assert await road.count(final=True) == 40


async def test_what_is_delivered_after_its_deletion_is_dropped(road: Road) -> None:
    await road.undertaker.start()
    await road.store([road.batch(1)])
    stone = [Tombstone(road.project, "run", 1)]
    await tombstones.write(road.client, stone, "tester")
    await tombstones.purge(road.client, stone)
    assert await road.count() == 0
    late = [road.batch(2)]
    assert await road.undertaker.without_deleted(late, road.retry) == late, "not known yet"
    await road.store(late)
    await road.undertaker.purge_late(late, road.retry)  # before it is confirmed
    for table in ("points", "series", "strings", "ledger"):
        await road.gone(table)
    assert await road.undertaker.without_deleted([road.batch(3)], road.retry) == []
    living = [road.batch(4, epoch=2)]
    assert await road.undertaker.without_deleted(living, road.retry) == living, "a later attempt lives"


async def test_a_writer_that_died_before_it_looked_leaves_nothing(road: Road) -> None:
    await road.store([road.batch(1)])  # a zombie, after the deletion, before its look
    await tombstones.write(road.client, [Tombstone(road.project, "run", 1)], "tester")
    await road.undertaker.start()
    assert await road.undertaker.without_deleted([road.batch(1)], road.retry) == []
    await road.gone("points")


async def test_a_deleted_metric_is_taken_out_of_what_comes(road: Road) -> None:
    await road.store([road.batch(1)])
    stones = [Tombstone(road.project, "run", 1, "loss"), Tombstone(road.project, "run", 1, "note")]
    await tombstones.write(road.client, stones, "tester")
    await tombstones.purge(road.client, stones)
    assert (await road.count(), await road.count("strings"), await road.count("series")) == (10, 0, 1)
    await road.undertaker.start()
    living = await road.undertaker.without_deleted([road.batch(2)], road.retry)
    await road.store(living)
    assert (await road.count(), await road.count("strings")) == (20, 0)
    again = await road.undertaker.without_deleted([road.batch(3, epoch=2)], road.retry)
    await road.store(again)
    assert (await road.count(), await road.count("strings")) == (40, 1), "a later attempt may use the name"
