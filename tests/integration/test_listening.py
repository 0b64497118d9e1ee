"""The writer's marks in a real ClickHouse, and what the query service and the views make of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from runstream_common.bus.local import LocalBus
from runstream_common.clickhouse.client import connect
from runstream_common.clickhouse.schema.migrator import migrate
from runstream_common.listening import VIEWS_CRASH_AFTER_US, silent_before
from runstream_common.times import from_us, now_us
from runstream_ingestor.writer import listening_recorder as writer
from runstream_query.base.storage import Storage
from runstream_query.runs.writer_marks import WriterMarks
from runstream_query.sqlaccess.tenancy import row_filters
from tests.support.clickhouse import EmbeddedClickHouse

S = 1_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """Without services: the marks are those of the test alone."""
    server = EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse")).start()
    yield server
    server.service.stop()


@pytest.fixture
async def client(server: EmbeddedClickHouse) -> AsyncIterator[Any]:
    client = await connect(server.config)
    await migrate(client)
    await client.command("TRUNCATE TABLE listening")
    await client.command("TRUNCATE TABLE streams")
    yield client
    await client.close()


async def note(client: Any, bus: str, part: int, parts: int, *periods: tuple[int, int]) -> None:
    """Periods in seconds before now."""
    now = now_us()
    known = [(now - began * S, now - ended * S) for began, ended in periods]
    silent = silent_before(known, VIEWS_CRASH_AFTER_US)
    assert silent is not None
    began, ended = [[from_us(moment) for moment in side] for side in zip(*known, strict=True)]
    row = (bus, part, parts, ended[-1], began, ended, from_us(silent), now)
    await client.insert("listening", [row], column_names=writer._COLUMNS)


WORLDS: dict[str, tuple[list[tuple[str, int, int, list[tuple[int, int]]]], int]] = {
    "a server from before": ([], 300),
    "it listens": ([("local", 0, 1, [(9000, 0)])], 300),
    "nobody has listened for an hour": ([("local", 0, 1, [(9000, 3600)])], 3900),
    "it was away for 500 s": ([("local", 0, 1, [(9000, 600), (100, 0)])], 800),
    "another bus before": ([("local", 0, 1, [(9000, 5000)]), ("kafka/t", 0, 1, [(5000, 0)])], 300),
    "one partition is behind": ([("kafka/t", 0, 2, [(9000, 0)]), ("kafka/t", 1, 2, [(9000, 700)])], 1000),
    "a topic made anew, smaller": ([("kafka/t", 0, 1, [(9000, 0)]), ("kafka/t", 1, 2, [(9000, 700)])], 300),
    "a clock was ahead": ([("local", 0, 1, [(9000, -5000)])], 300),
}


@pytest.mark.parametrize("name", WORLDS)
async def test_the_service_and_the_views_say_the_same(client: Any, name: str) -> None:
    marks, silent_s = WORLDS[name]
    for bus, part, parts, periods in marks:
        await note(client, bus, part, parts, *periods)
    since = await WriterMarks(Storage(client), VIEWS_CRASH_AFTER_US).heard_since()
    assert abs(since - (now_us() - silent_s * S)) < 30 * S
    for run, heard in (("dead", since - 60 * S), ("alive", since + 60 * S)):
        await client.command(
            "INSERT INTO streams "
            "(project, run, writer, event, world_size, time, received, run_created, version, run_month) "
            "SELECT 'main/p', {run:String}, 'w', 'start', 1, t, t, t, 1, toDate('2026-11-01') "
            "FROM (SELECT fromUnixTimestamp64Micro({heard:Int64}, 'UTC') AS t)",
            parameters={"run": run, "heard": heard},
        )
    tables = {table: table != "listening" for table in ("listening", "streams", "run_fields", "series")}
    for settings in (
        {},
        row_filters("default", tables, ["main"]),
    ):  # as ClickHouse's clients ask, and as /clickhouse/ does
        for view in ("runs_now", "streams_now"):
            question = f"SELECT run, state FROM {view} WHERE project = 'main/p' ORDER BY run"
            rows = (await client.query(question, settings=settings)).result_rows
            assert rows == [("alive", "running"), ("dead", "crashed")], (view, bool(settings))


async def test_a_writer_notes_its_periods_and_the_next_one_goes_on_with_them(client: Any) -> None:
    """And one that ClickHouse refuses, or whose driver gives up, goes on trying."""

    async def until_written(listening: writer.ListeningRecorder, version: int) -> Any:
        running = asyncio.create_task(listening.run())
        try:
            while not (found := await writer.read(client)) or found[0][1] <= version:
                await asyncio.sleep(0.05)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return found[0]

    bus = LocalBus()
    first, version = await until_written(writer.ListeningRecorder(client, bus), 0)
    assert (first.bus, first.partition, first.partitions, len(first.periods)) == ("local", 0, 1, 1)
    assert now_us() - 60 * S < first.until_us < now_us()
    await client.command("RENAME TABLE listening TO away")
    failing = writer.ListeningRecorder(client, LocalBus())
    task = asyncio.create_task(failing.run())
    await asyncio.sleep(0.2)
    assert not task.done()
    await client.command("RENAME TABLE away TO listening")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    second, later = await until_written(writer.ListeningRecorder(client, LocalBus()), version)
    assert second.until_us > first.until_us and later > version
    assert second.periods == first.periods, "a start is a break: until runs can have been heard, nothing counts"
