"""What cannot be stored: isolated, kept whole on the dead-letter topic, listed, shown, replayed; and never too much."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.exceptions import DatabaseError
from google.protobuf.message import DecodeError

from runstream_common.bus.cli import main as deadletter
from runstream_common.bus.kafka import KafkaConsumer, KafkaPublisher
from runstream_common.bus.kafka_config import KafkaConfig
from runstream_common.bus.local import LocalBus
from runstream_common.bus.message_headers import to_headers
from runstream_common.bus.protocol import BatchRefusedError, BusMessage, Origin, TooManyDeadLettersError
from runstream_common.clickhouse.client import StorageRefusedError
from runstream_common.service import failpoints
from runstream_common.service.metrics import Metrics
from runstream_ingestor.writer.instruments import WriterInstruments
from runstream_ingestor.writer.limits import FlushLimits
from runstream_ingestor.writer.loop import Writer
from runstream_proto.v1 import ingest_pb2 as pb
from tests.support.kafka import KafkaCluster

NOW_US = 1_790_000_000_000_000
ORIGIN = Origin("team", "project", "run", "writer-0001", 0, 1, NOW_US, "user", 1, 0, NOW_US)


def batch(number: int, key: str = "loss", run: str = "run") -> BusMessage:
    """One point at step `number`, and a note."""
    made = pb.Batch(format=1, writer_id="writer-0001", first_record=number, last_record=number, points=1)
    made.run.team, made.run.project, made.run.run = "team", "project", run
    made.frames.add(keys=[key], rows=1, first_step=number, first_time_us=NOW_US, first_number=number, values=bytes(8))
    note = made.records.add(number=number, time_us=NOW_US)
    note.text.key, note.text.value = "note", "words"
    return BusMessage(f"team/project/{run}/0", made.SerializeToString(), replace(ORIGIN, batch_number=number, run=run))


class NobodyIsDead:
    async def without_deleted(self, batches: Any, on_retry: Any) -> list[Any]:
        return list(batches)

    async def purge_late(self, batches: Any, on_retry: Any) -> None:
        return None


class NothingIsReplaced:
    def mark(self, decoded: Any) -> None:
        decoded.may_replace = False

    def forget(self) -> None: ...

    async def notes(self, batches: Any, on_retry: Any) -> list[Any]:
        return []


class Storage:
    """Keeps inserts; refuses those of points that hold `poison`, as ClickHouse refuses bytes that it cannot parse."""

    def __init__(self, poison: bytes = b"poison") -> None:
        self.poison = poison
        self.inserts: list[tuple[str, bytes]] = []
        self.refused = 0

    async def __call__(self, table: str, columns: Any, data: bytes, token: str) -> None:
        found = pa.ipc.open_stream(data).read_all()
        if table == "points" and self.poison.decode() in found.column("metric").to_pylist():
            self.refused += 1
            raise StorageRefusedError("Cannot parse", 27)
        self.inserts.append((table, data))

    def rows(self, wanted: str) -> list[dict[str, Any]]:
        return [
            row
            for table, data in self.inserts
            if table == wanted
            for row in pa.ipc.open_stream(data).read_all().to_pylist()
        ]

    def steps(self, runs: Container[str] | None = None) -> list[int]:
        return sorted(row["step"] for row in self.rows("points") if runs is None or row["run"] in runs)


def make_writer(consumer: Any, storage: Storage, max_age_s: float = 0.3) -> Writer:
    instruments = WriterInstruments(Metrics(["writer"]))
    return Writer(consumer, storage, FlushLimits(max_age_s=max_age_s), instruments, NobodyIsDead(), NothingIsReplaced())


async def test_poison_among_many_is_found_by_halving_and_its_siblings_are_stored() -> None:
    bus, storage = LocalBus(), Storage()
    writing = [
        asyncio.create_task(bus.publish(batch(number, "poison" if number == 77 else "loss")))
        for number in range(1, 129)
    ]
    writer = make_writer(bus, storage)
    running = asyncio.create_task(writer.run())
    results = await asyncio.wait_for(asyncio.gather(*writing, return_exceptions=True), 60)
    writer.stop()
    await running
    failed = [index + 1 for index, result in enumerate(results) if isinstance(result, BatchRefusedError)]
    assert failed == [77]
    assert storage.steps() == [number for number in range(1, 129) if number != 77]
    assert storage.refused <= 16, "halving, not one by one"


PLACES = {
    "writer.decode": "batch cannot be decoded",
    "writer.prepare": "batch cannot be prepared",
    "writer.documents": "batch cannot be prepared",
    "writer.insert": "insert failed",
}


def fail_at(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(failpoints, "_ACTIVE", failpoints._parse(text))


FOREIGN: dict[str, Callable[[str], BaseException]] = {
    "ArrowInvalid": pa.lib.ArrowInvalid,
    "DatabaseError": DatabaseError,
    "DecodeError": DecodeError,
    "ExceptionGroup": lambda text: ExceptionGroup(text, [ValueError(text)]),
    "UnicodeDecodeError": lambda text: UnicodeDecodeError("utf-8", b"\xff", 0, 1, text),
    "UnicodeEncodeError": lambda text: UnicodeEncodeError("utf-8", "\ud800", 0, 1, text),
    "mute": lambda text: Mute(),
}
"""What libraries raise, and an exception that cannot even be described."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def fail_at_all(monkeypatch: pytest.MonkeyPatch, places: Iterable[str]) -> list[tuple[str, str]]:
    """Every kind of exception at every place, each at the run `place-kind`. Returns the pairs."""
    for name, make in FOREIGN.items():
        monkeypatch.setitem(failpoints._EXCEPTIONS, name, make)
    monkeypatch.setattr(failpoints, "_ACTIONS", (*failpoints._ACTIONS, *FOREIGN))
    # A coroutine that is closed gets a GeneratorExit, which it must not answer: it is none of an insert's errors.
    impossible = ("writer.insert", "GeneratorExit")
    pairs = [pair for pair in product(places, sorted(failpoints._EXCEPTIONS)) if pair != impossible]
    fail_at(monkeypatch, ",".join(f"{place}:{kind}:@{place}-{kind}" for place, kind in pairs))
    return pairs


@pytest.mark.parametrize("place", PLACES)
async def test_a_batch_that_raises_anything_is_put_aside_and_all_others_are_stored(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = fail_at_all(monkeypatch, [place])
    bus, storage = LocalBus(), Storage()
    bad = [asyncio.create_task(bus.publish(batch(1, run=f"{place}-{kind}"))) for _, kind in pairs]
    good = [asyncio.create_task(bus.publish(batch(number))) for number in range(1, 17)]
    writer = make_writer(bus, storage, 0.02)
    running = asyncio.create_task(writer.run())
    results = await asyncio.wait_for(asyncio.gather(*bad, *good, return_exceptions=True), 60)
    writer.stop()
    await running
    for (_, kind), found in zip(pairs, results, strict=False):
        assert isinstance(found, BatchRefusedError) and PLACES[place] in str(found), (kind, found)
        assert kind == "mute" or kind.rpartition(".")[2] in str(found), found
    assert results[len(bad) :] == [None] * 16
    assert set(storage.steps()) == set(range(1, 17))
    assert {row["run"]: row["reason"] for row in storage.rows("rejects")} == {
        f"{place}-{kind}": PLACES[place] for _, kind in pairs
    }


async def test_a_storage_that_takes_nothing_is_no_fault_of_the_batch() -> None:
    """An insert that fails in an unknown way puts nothing aside while no other row can be stored either."""

    class Broken(Storage):
        broken = True

        async def __call__(self, table: str, columns: Any, data: bytes, token: str) -> None:
            if self.broken:
                raise KeyError("a driver that lost its mind")
            await super().__call__(table, columns, data, token)

    bus, storage = LocalBus(), Broken()
    writer = make_writer(bus, storage, 0.02)
    running = asyncio.create_task(writer.run())
    writing = asyncio.create_task(bus.publish(batch(1)))
    done, _ = await asyncio.wait([writing, running], timeout=0.5)
    assert not done
    storage.broken = False
    await asyncio.wait_for(writing, 30)
    writer.stop()
    await running
    assert storage.steps() == [1] and not storage.rows("rejects")


@pytest.fixture
def topic(kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaConfig]:
    name = uuid.uuid4().hex[:8]
    config = KafkaConfig(
        kafka.bootstrap, topic=f"dead-{name}", group=f"group-{name}", partitions=1, dead_letters_per_minute=20
    )
    monkeypatch.setenv("RUNSTREAM_KAFKA_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("RUNSTREAM_KAFKA_TOPIC", config.topic)
    yield config


async def put_raw(config: KafkaConfig, values: list[bytes], good_headers: bool = False) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=config.bootstrap)
    await producer.start()
    for value in values:
        await producer.send_and_wait(
            config.topic, value, key=b"some key", headers=to_headers(ORIGIN) if good_headers else []
        )
    await producer.stop()


async def write_until(config: KafkaConfig, storage: Storage, count: int, runs: Container[str] | None = None) -> None:
    """A writer over Kafka, until so many points (of `runs`) are stored and its lag is nought."""
    consumer = KafkaConsumer(config)
    await consumer.start()
    writer = make_writer(consumer, storage)
    running = asyncio.create_task(writer.run())
    try:
        async with asyncio.timeout(90):
            while len(storage.steps(runs)) < count and not running.done():
                await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
        writer.stop()
        await running
    finally:
        await consumer.close()


async def test_dead_letters_are_kept_listed_shown_and_replayed(
    topic: KafkaConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    publisher = KafkaPublisher(topic)
    await publisher.start()
    await put_raw(topic, [b"no headers"])
    await put_raw(topic, [b"\xff not a batch"], good_headers=True)
    for number in range(1, 6):
        await publisher.publish(batch(number, "poison" if number == 3 else "loss"))
    await publisher.close()
    storage = Storage()
    await write_until(topic, storage, 4)
    assert storage.steps() == [1, 2, 4, 5]

    capsys.readouterr()
    assert await asyncio.to_thread(deadletter, ["list", "--json"]) == 0
    letters = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [letter["reason"] for letter in letters] == [
        "unreadable message",
        "batch does not hold together",
        "refused by ClickHouse",
    ]
    assert letters[2]["origin"]["run"] == "run" and letters[2]["id"].startswith(f"{topic.topic}/0/")
    assert letters[2]["version"] and letters[2]["time"] and "Cannot parse" in letters[2]["detail"]
    assert await asyncio.to_thread(deadletter, ["show", letters[0]["id"], "--save", str(tmp_path / "raw")]) == 0
    assert (tmp_path / "raw").read_bytes() == b"no headers"
    assert await asyncio.to_thread(deadletter, ["list"]) == 0
    assert "team/project/run" in capsys.readouterr().out

    # The storage is mended, and the batch that it refused is replayed, as it was.
    assert await asyncio.to_thread(deadletter, ["replay", letters[2]["id"]]) == 0
    assert await asyncio.to_thread(deadletter, ["discard", letters[0]["id"]]) == 0
    storage.poison = b"nothing"
    await write_until(topic, storage, 5)
    assert storage.steps() == [1, 2, 3, 4, 5]
    capsys.readouterr()
    assert await asyncio.to_thread(deadletter, ["list"]) == 0
    rest = capsys.readouterr().out.splitlines()
    assert len(rest) == 1 and letters[1]["id"] in rest[0]
    assert await asyncio.to_thread(deadletter, ["show", "no/0/1"]) == 1
    assert "no dead letter" in capsys.readouterr().err


async def test_one_user_cannot_stop_the_writer_and_what_was_put_aside_is_replayed_after_the_fix(
    topic: KafkaConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_at(monkeypatch, "writer.prepare:MemoryError:@bad")
    publisher = KafkaPublisher(topic)
    await publisher.start()
    for number in range(1, 31):
        await publisher.publish(batch(number, run="bad"))
        await publisher.publish(batch(number + 100))
    await publisher.close()
    storage = Storage()
    await write_until(topic, storage, 30)
    assert set(storage.steps()) == set(range(101, 131))
    capsys.readouterr()
    assert await asyncio.to_thread(deadletter, ["list"]) == 0
    letters = capsys.readouterr().out.splitlines()
    assert len(letters) == 30 and all("batch cannot be prepared: MemoryError" in line for line in letters)

    fail_at(monkeypatch, "")
    assert await asyncio.to_thread(deadletter, ["replay", letters[0].split()[0], letters[1].split()[0]]) == 0
    await write_until(topic, storage, 32)
    assert set(storage.steps()) == {1, 2, *range(101, 131)}


async def test_every_exception_at_every_place_leaves_a_letter_that_is_stored_after_the_fix(
    topic: KafkaConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = fail_at_all(monkeypatch, PLACES)
    publisher = KafkaPublisher(topic)
    await publisher.start()
    for place, kind in pairs:
        await publisher.publish(batch(1, run=f"{place}-{kind}"))
    for number in range(1, 17):
        await publisher.publish(batch(number))
    await publisher.close()
    storage = Storage()
    patient = replace(topic, dead_letters_per_minute=10 * len(pairs))
    await write_until(patient, storage, 16, runs={"run"})
    assert set(storage.steps({"run"})) == set(range(1, 17))
    capsys.readouterr()
    assert await asyncio.to_thread(deadletter, ["list", "--json"]) == 0
    letters = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {letter["origin"]["run"]: letter["reason"] for letter in letters} == {
        f"{place}-{kind}": PLACES[place] for place, kind in pairs
    }

    fail_at(monkeypatch, "")
    assert await asyncio.to_thread(deadletter, ["replay", *(letter["id"] for letter in letters)]) == 0
    runs = {f"{place}-{kind}" for place, kind in pairs}
    await write_until(patient, storage, len(pairs), runs=runs)
    assert {row["run"] for row in storage.rows("points")} == {"run", *runs}


async def test_a_writer_that_would_put_too_much_aside_stops_and_confirms_nothing_of_it(topic: KafkaConfig) -> None:
    publisher = KafkaPublisher(topic)
    await publisher.start()
    await publisher.publish(batch(1))
    await publisher.close()
    storage = Storage()
    await write_until(topic, storage, 1)
    await put_raw(topic, [f"garbage {number}".encode() for number in range(30)])
    consumer = KafkaConsumer(topic)
    await consumer.start()
    with pytest.raises(TooManyDeadLettersError, match="RUNSTREAM_DEAD_LETTERS_PER_MINUTE"):
        await asyncio.wait_for(make_writer(consumer, storage).run(), 90)
    await consumer.close()
    # The next writer gets all of it again.
    again = KafkaConsumer(replace(topic, dead_letters_per_minute=1000))
    await again.start()
    writer = make_writer(again, storage)
    running = asyncio.create_task(writer.run())
    publisher = KafkaPublisher(topic)
    await publisher.start()
    await publisher.publish(batch(2))
    await publisher.close()
    async with asyncio.timeout(90):
        while storage.steps() != [1, 2]:
            await asyncio.sleep(0.1)
    writer.stop()
    await running
    await again.close()
