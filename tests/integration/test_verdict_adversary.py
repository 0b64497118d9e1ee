"""The verdict as an adversary would test it, on the real engine: rows are removed, changed and added behind the
product's back; none of it is called complete. What users do (rewriting, replays, resuming, deleting) stays complete."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from runstream_common.clickhouse import tombstones
from runstream_common.clickhouse.client import connect
from runstream_common.clickhouse.schema.migrator import migrate
from runstream_common.clickhouse.tombstones import Tombstone
from runstream_common.service.metrics import Metrics
from runstream_deploy.doctor import _stored
from runstream_ingestor.writer.decode import DecodedBatch
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.runs.verdict import damage_watch
from runstream_query.runs.verdict.completeness import describe_streams, judge
from runstream_query.runs.verdict.damage_watch import DamageWatch
from tests.support.clickhouse import EmbeddedClickHouse
from tests.support.ledger import Attempt, put
from tests.support.stack import ServiceStack

_NOW = {"mutations_sync": 2, "lightweight_deletes_sync": 2}


class Case:
    """One run, and what is done to it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.project = f"p-{uuid.uuid4().hex[:8]}"
        self.storage = Storage(client)

    def attempt(self, epoch: int = 1, rank: int = 0) -> Attempt:
        return Attempt("main", self.project, "run", epoch, rank)

    async def log(self, attempt: Attempt, *steps: range) -> list[DecodedBatch]:
        """Start, a batch of two metrics for each range of steps, and finish."""
        batches = [attempt.start()]
        count = 0
        for some in steps:
            values = {
                "loss": [0.5 + step * attempt.epoch for step in some],
                "acc": [0.1 * step - attempt.epoch for step in some],
            }
            batches.append(attempt.points(values, list(some)))
            count += 2 * len(some)

        def fill(record: Any) -> None:
            record.finish.outcome = 1
            record.finish.records = attempt.records - 1
            record.finish.points = count

        batches.append(attempt.document(fill))
        await put(self.client, *batches)
        return batches

    async def verdict(self) -> tuple[str, pb.Completeness]:
        project = f"main/{self.project}"
        described = await describe_streams(self.storage, project, {"run": 1}, 0)
        whole = (await judge(self.storage, project, described))["run"]
        return pb.Completeness.Verdict.Name(whole.verdict).removeprefix("VERDICT_").lower(), whole

    async def do(self, statement: str) -> None:
        await self.client.command(
            statement.replace("MINE", f"project = 'main/{self.project}' AND run = 'run'"), settings=_NOW
        )


@pytest.fixture
async def case(embedded: ServiceStack) -> AsyncIterator[Case]:
    client = await connect(embedded.clickhouse.config)
    yield Case(client)
    await client.close()


HARM = {
    "a row removed": ("DELETE FROM points WHERE MINE AND metric = 'loss' AND step = 57", "missing"),
    "all rows removed": ("DELETE FROM points WHERE MINE", "missing"),
    "a value changed": ("ALTER TABLE points UPDATE value = value + 1e-9 WHERE MINE AND step = 3", "changed"),
    "a time changed": ("ALTER TABLE points UPDATE time = time + 1 WHERE MINE AND step = 3", "changed"),
    "a row added": (
        "INSERT INTO points SELECT project, run, 'loss', rank, 10000, 1, time, version, run_month FROM points "
        "WHERE MINE AND step = 9 AND metric = 'acc'",
        "surplus",
    ),
    "a row written over": (
        "INSERT INTO points SELECT project, run, metric, rank, step, 7, time, version + 100000, run_month FROM points "
        "WHERE MINE AND step = 9 AND metric = 'acc'",
        "surplus",
    ),
    "a row of an attempt that never was": (
        "INSERT INTO points SELECT project, run, metric, rank, 77777, 7, time, 9 * 1099511627776, run_month "
        "FROM points WHERE MINE AND step = 9 AND metric = 'acc'",
        "surplus",
    ),
    "a ledger row removed": ("DELETE FROM ledger WHERE MINE AND batch = 2", "surplus"),
    "a digest in the ledger changed": (
        "ALTER TABLE ledger UPDATE block_digests = arrayMap(x -> x + 1, block_digests) WHERE MINE AND batch = 2",
        "changed",
    ),
    "start removed": ("DELETE FROM streams WHERE MINE", "start of this writer is not stored"),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARM)
async def test_no_harm_is_called_complete(case: Case, harm: str) -> None:
    await case.log(case.attempt(), range(50), range(50, 100))
    verdict, found = await case.verdict()
    assert (verdict, list(found.findings), found.rows_proved) == ("complete", [], 200)
    statement, named = HARM[harm]
    await case.do(statement)
    verdict, found = await case.verdict()
    assert verdict in ("incomplete", "damaged", "open") and any(named in one for one in found.findings), found
    print(harm, "->", verdict, found.findings[:2])


async def test_what_users_do_stays_complete(case: Case) -> None:
    first = await case.log(case.attempt(1), range(50), range(50, 100))
    await put(case.client, *reversed(first))  # a replay, in another order
    assert (await case.verdict())[0] == "complete"
    second = await case.log(case.attempt(2), range(60, 90), range(90, 140))  # resumed, old steps again
    await put(case.client, *first, *second)
    verdict, found = await case.verdict()
    assert verdict == "complete" and found.rows_counted == 280, found
    await case.do("OPTIMIZE TABLE points FINAL")
    verdict, found = await case.verdict()
    assert verdict == "complete" and "80 rows were replaced" in found.findings[0], found
    await case.do("DELETE FROM points WHERE MINE AND step = 20")
    assert (await case.verdict())[0] == "damaged", "a removed row of what was not rewritten"


async def test_nothing_hides_among_replaced_rows(case: Case) -> None:
    await case.log(case.attempt(1), range(50), range(50, 100))
    again, steps = case.attempt(2), range(60, 90)
    values = {name: [1.0] * len(steps) for name in ("loss", "acc", "lr")}

    def fill(record: Any) -> None:
        record.finish.outcome, record.finish.records, record.finish.points = 1, again.records - 1, 90

    await put(case.client, again.start(), again.points(values, steps), again.document(fill))
    await case.do("OPTIMIZE TABLE points FINAL")
    verdict, found = await case.verdict()
    assert verdict == "complete" and found.rows_proved == found.rows_counted == 230, found
    await case.do("DELETE FROM points WHERE MINE AND metric = 'acc' AND step = 55")
    verdict, found = await case.verdict()
    assert verdict == "damaged" and "1 rows of points are missing" in found.findings[0], found
    print(verdict, found.findings)


async def test_rewritten_within_a_batch_and_deleted_metrics_stay_complete(case: Case) -> None:
    await case.log(case.attempt(1), range(50), range(10, 30))
    attempt = case.attempt(2)
    made = attempt.points({"loss": [1, 2, 3, 4], "acc": [1, 2, 3, 4]}, [200, 201, 200, 199])

    def fill(record: Any) -> None:
        record.finish.outcome = 1
        record.finish.records = attempt.records - 1
        record.finish.points = 8

    await put(case.client, made, attempt.document(lambda record: record.start.SetInParent()), attempt.document(fill))
    verdict, found = await case.verdict()
    assert verdict == "complete", found
    stone = [Tombstone(f"main/{case.project}", "run", 2, "acc")]
    await tombstones.write(case.client, stone, "tester")
    await tombstones.purge(case.client, stone)
    verdict, found = await case.verdict()
    assert verdict == "complete" and "deleted with a metric" in " ".join(found.findings), found


async def test_batches_from_before_the_digests_are_counted(case: Case) -> None:
    await case.log(case.attempt(), range(50), range(50, 100))
    await case.do("ALTER TABLE ledger UPDATE proved = 0, blocks = [], block_rows = [], block_digests = [] WHERE MINE")
    verdict, found = await case.verdict()
    assert verdict == "complete" and found.rows_proved == 0 and "counted, not proved" in found.findings[0]
    await case.do("DELETE FROM points WHERE MINE AND step = 57")
    assert (await case.verdict())[0] == "damaged"


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)


def swell(path: Path) -> None:
    """The first block's header says that it unpacks to a gigabyte: that is refused before its checksum is looked at."""
    content = bytearray(path.read_bytes())
    content[21:25] = (1 << 30 | 1 << 16).to_bytes(4, "little")
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [truncate, flip, swell])
def test_a_damaged_part_is_seen_by_verdict_and_doctor(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    stack = EmbeddedClickHouse(tmp_path).start()
    try:
        project = asyncio.run(_damaged(stack, "log", ""))
        for path in sorted(stack.data.rglob("data.bin")) + sorted(stack.data.rglob("value.bin")):
            found = path.resolve()
            if _table_of(stack, found) == "points":
                stack.service.stop()
                harm(found)
                break
        stack.start()
        said = asyncio.run(_damaged(stack, "ask", project))
        assert said.startswith("damaged"), said
        print(said)
    finally:
        stack.service.stop()


def _table_of(stack: EmbeddedClickHouse, path: Path) -> str:
    client = stack.client()
    rows = client.query("SELECT table, path FROM system.parts WHERE active").result_rows
    return next((table for table, folder in rows if str(path).startswith(str(Path(folder).resolve()))), "")


async def _damaged(stack: EmbeddedClickHouse, what: str, project: str) -> str:
    client = await connect(stack.config)
    try:
        if what == "log":
            await migrate(client)
        case = Case(client)
        if what == "log":
            await case.log(case.attempt(), range(50), range(50, 100))
            return case.project
        case.project = project
        verdict, found = await case.verdict()
        doctor = (await _stored(client))[0]
        assert doctor.problem, "doctor says that all is well"
        metrics = Metrics(["query"])
        await DamageWatch(case.storage, metrics).check()
        aside = metrics.registry.get_sample_value("runstream_query_parts_put_aside")
        assert aside == len(await damage_watch.detached(case.storage)) == int("detached" in doctor.problem)
        return f"{verdict} {list(found.findings)}; doctor: {doctor.problem}; in /metrics: {aside}"
    finally:
        await client.close()
