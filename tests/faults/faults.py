"""The faults, each a function that does its worst while a workload runs. What must hold is the same for all: see
`rounds`. `FAULTS` names them, with the kind of lab that each needs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from runstream_common.bus.dead_letters import read_letters
from runstream_common.bus.kafka_config import TOPIC, KafkaConfig
from runstream_proto.v1 import ingest_pb2 as pb
from runstream_proto.v1 import ingest_pb2_grpc as rpc
from tests.faults.checker import Findings
from tests.faults.lab import DISK_LAB, Lab
from tests.faults.record_batches import BATCHES, ROWS, value
from tests.faults.workload import ROOT, Workload
from tests.support.processes import wait_for

FAILPOINTS = (
    "writer.after_read",
    "writer.after_decode",
    "writer.before_send",
    "writer.insert_applied",
    "writer.before_ledger",
    "writer.before_commit",
    "writer.after_commit",
)
STOP_S = 30.0


@dataclass(slots=True)
class Round:
    """One round: where, with what, and by which dice."""

    lab: Lab
    workload: Workload
    random: random.Random
    problems: list[str] = field(default_factory=list)
    """What broke a promise, beside what the checker finds."""

    def pause(self, low: float, high: float) -> None:
        time.sleep(self.random.uniform(low, high))

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.problems.append(what)


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    brokers: tuple[int, ...]
    """The labs in which it can be played: 0 embedded, 1 or 3 brokers."""
    play: Callable[[Round], None]
    load_s: float = 8.0
    """How long the trainers log."""
    before: Callable[[Lab, Path], dict[str, Any]] | None = None
    """Arguments for the workload, and preparations."""
    after: Callable[[Round, Findings], None] | None = None
    """At rest, after the checker."""
    lossy: bool = False
    """Destroys records that were logged."""


def _kill(*names: str) -> Callable[[Round], None]:
    """SIGKILL one of `names` two or three times at random moments, and start it again after a while. Before every
    second one the parts behind it stand still for a moment, so that much is under way when it dies."""

    def play(round: Round) -> None:
        brokers = [f"broker-{number + 1}" for number in range(round.lab.brokers)]
        for number in range(round.random.randint(2, 3)):
            name = round.random.choice([name for name in names if name in round.lab.names or name == "clickhouse"])
            behind = (
                [] if name == "clickhouse" else brokers if name.startswith("gateway") and brokers else ["clickhouse"]
            )
            round.pause(0.3, 1.5)
            with _standing_still(round, behind if number % 2 else []):
                round.lab.kill(name)
            round.pause(0.0, 2.0)
            round.lab.revive(name)

    return play


@contextlib.contextmanager
def _standing_still(round: Round, names: list[str]) -> Iterator[None]:
    """Stopped a moment before, and until it is left."""
    for name in names:
        round.lab.signal(name, signal.SIGSTOP)
    try:
        round.pause(0.2, 0.8)
        yield
    finally:
        for name in names:
            round.lab.signal(name, signal.SIGCONT)


def _kill_sdk(round: Round) -> None:
    """Trainers and senders die; the trainers' next attempts log old steps again."""
    for _ in range(6):
        round.pause(0.2, 1.2)
        if round.random.random() < 0.4:
            for sender in round.workload.senders():
                with contextlib.suppress(Exception):
                    sender.kill()
        else:
            stream = round.random.choice(round.workload.streams)
            round.workload.kill(stream)
            round.workload.attempt(stream)


def _kill_broker(round: Round) -> None:
    broker = round.lab.broker("broker-1")
    for _ in range(2):
        round.pause(0.5, 2.0)
        broker.kill()
        round.pause(0.5, 2.0)
        round.lab.revive("broker-1")


def _kill_one_of_three(leader: bool) -> Callable[[Round], None]:
    def play(round: Round) -> None:
        round.pause(0.5, 2.0)
        leaders = asyncio.run(_leaders(round.lab.kafka_bootstrap))
        node = round.random.choice(sorted(leaders))
        if not leader:
            partitions = [part for part, found in leaders.items() if found]
            node = round.random.choice([n for n in (1, 2, 3) if n not in leaders] or sorted(leaders))
            assert partitions
        others = [f"broker-{n}" for n in (1, 2, 3) if n != node]  # what they have not fetched is the leader's alone
        with _standing_still(round, others if leader and round.random.random() < 0.7 else []):
            round.lab.broker(f"broker-{node}").kill()
        round.pause(2.0, 5.0)
        round.lab.revive(f"broker-{node}")

    return play


async def _leaders(bootstrap: str) -> dict[int, int]:
    """How many partitions each node leads."""
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        found: dict[int, int] = {}
        for part in range(12):
            node = consumer._client.cluster.leader_for_partition(TopicPartition(TOPIC, part))
            found[node] = found.get(node, 0) + 1
        return found
    finally:
        await consumer.stop()


def _kill_all(round: Round) -> None:
    """Power failure of the services' machine: everything at once, then everything again."""
    round.pause(1.0, 3.0)
    lab = round.lab
    names = [*lab.names, "clickhouse", *(f"broker-{n + 1}" for n in range(lab.brokers))]
    round.random.shuffle(names)
    for name in names:
        lab.broker(name).kill() if name.startswith("broker-") else lab.kill(name)
    for sender in round.workload.senders():
        sender.kill()
    for stream in round.workload.streams[:2]:
        round.workload.kill(stream)
    lab.heal()
    for stream in round.workload.streams[:2]:
        round.workload.attempt(stream)


def _stop(*names: str) -> Callable[[Round], None]:
    """SIGSTOP for 30 s: longer than the consumers' session, so that a writer wakes up as a zombie."""

    def play(round: Round) -> None:
        round.pause(0.5, 2.0)
        name = round.random.choice([name for name in names if name in (*round.lab.names, "clickhouse", "broker-1")])
        round.lab.signal(name, signal.SIGSTOP)
        time.sleep(STOP_S)
        round.lab.signal(name, signal.SIGCONT)

    return play


def _stop_sdk(round: Round) -> None:
    """The trainers or their sender are stopped for 30 s."""
    round.pause(0.5, 2.0)
    if round.random.random() < 0.5:
        round.workload.signal(signal.SIGSTOP)
        time.sleep(STOP_S)
        round.workload.signal(signal.SIGCONT)
        return
    stopped = round.workload.senders()
    for sender in stopped:
        sender.suspend()
    time.sleep(STOP_S)
    for sender in stopped:
        with contextlib.suppress(Exception):
            sender.resume()


def _failpoints(round: Round) -> None:
    """A writer dies at named points, at a random passage, again and again."""
    writer = round.random.choice(round.lab.writers)
    ended = time.monotonic() + 10
    points = list(FAILPOINTS)
    round.random.shuffle(points)
    for point in points:
        if time.monotonic() > ended:
            break
        action = "error" if point == "writer.insert_applied" and round.random.random() < 0.5 else "kill"
        round.lab.kill(writer)
        round.lab.launch(writer, {"RUNSTREAM_FAILPOINTS": f"{point}:{action}:{round.random.randint(1, 4)}"})
        round.lab.wait_ready_or_dead(writer)
        round.pause(0.5, 1.5)


def _reorder(round: Round) -> None:
    """The connections of a node go to both gateways in turn, one of them slow by seconds, and are cut: what was under
    way to the slow one arrives after what the other one was sent again."""
    one = round.lab.to_gateway["gateway-1"]
    one.others = [round.lab.to_gateway["gateway-2"].target]
    try:
        for _ in range(4):
            one.delay_s = round.random.uniform(1.0, 3.0)
            one.cut()
            round.pause(1.0, 2.5)
    finally:
        one.others = []
        one.delay_s = 0.0
        one.cut()
        time.sleep(3.5)


def _no_tokens(round: Round) -> None:
    """The deduplication log is deleted, its window is 1, or the tokens are off; and writers die."""
    lab = round.lab
    how = round.random.choice(["off", "window", "deleted"])
    extra = {"RUNSTREAM_WRITER_DEDUP_TOKENS": "false"} if how == "off" else {}
    if how == "window":
        lab._client.command("ALTER TABLE points MODIFY SETTING non_replicated_deduplication_window = 1")
    for _ in range(3):
        for writer in lab.writers:
            lab.kill(writer)
        if how == "deleted":
            lab.kill("clickhouse")
            for path in lab.clickhouse.data.rglob("deduplication_logs"):
                shutil.rmtree(path, ignore_errors=True)
            lab.revive("clickhouse")
        for writer in lab.writers:
            lab.launch(writer, extra)
        for writer in lab.writers:
            lab.wait_ready(writer)
        round.pause(0.5, 1.5)
    if how == "window":
        lab._client.command("ALTER TABLE points MODIFY SETTING non_replicated_deduplication_window = 1000")


def _storm(round: Round) -> None:
    """Fifty times a further writer joins the group, or leaves it, at random."""
    environment = {**os.environ, **round.lab._environment(round.lab.writers[0]), "PYTHONPATH": str(ROOT)}
    log = round.workload.folder / "storm.log"
    with log.open("wb") as file:
        storm = subprocess.run(
            [sys.executable, "-m", "tests.faults.storm", str(round.random.randrange(1 << 30)), "50"],
            env=environment,
            cwd=ROOT,
            stdout=file,
            stderr=file,
            timeout=60,
            check=False,
        )
    round.expect(storm.returncode == 0, f"the storm ended with {storm.returncode}: {log.read_text()[-1500:]}")


def _lost_answers(round: Round) -> None:
    """Inserts are applied, and the connection is cut before the answer."""
    wait_for(lambda: round.lab.checker.count(round.workload.project, round.workload.runs) > 0, "the first point")
    before = round.lab.to_clickhouse.answers_lost
    for _ in range(6):
        round.lab.to_clickhouse.lost_answers = round.random.randint(1, 4)
        round.pause(0.5, 1.2)
    lost = round.lab.to_clickhouse.answers_lost - before
    round.expect(lost >= 6, f"only {lost} answers were lost")


def _network(round: Round) -> None:
    """Slow, refusing, half-open, cut: between the SDK and its gateway, and between the writers and ClickHouse."""
    for _ in range(4):
        proxy = round.random.choice([*round.lab.to_gateway.values(), round.lab.to_clickhouse])
        how = round.random.choice(["slow", "refusing", "half-open", "cut"])
        if how == "slow":
            proxy.bytes_per_s = 10_000.0
        elif how == "refusing":
            proxy.refusing = True
            proxy.cut()
        elif how == "half-open":
            proxy.stopped = True
        else:
            proxy.cut()
        round.pause(1.0, 3.0)
        proxy.heal()
        if how == "half-open":
            proxy.cut()


def _poison(round: Round) -> None:
    """Hand-made bytes on the topic, among good batches."""
    count = round.random.randint(5, 15)
    asyncio.run(_put_poison(round.lab.kafka_bootstrap, round.random, count))
    round.workload.folder.joinpath("poison").write_text(str(count))


async def _put_poison(bootstrap: str, generator: random.Random, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for _ in range(count):
            value = generator.choice([b"", b"\x00", b"not a batch", generator.randbytes(2000)])
            headers = generator.choice([[], [("runstream-origin-v1", b"{}")], [("runstream-origin-v1", b"\xff")]])
            await producer.send_and_wait(TOPIC, value, key=generator.randbytes(3), headers=headers)
            await asyncio.sleep(generator.uniform(0, 0.3))
    finally:
        await producer.stop()


def _check_letters(round: Round, findings: Findings) -> None:
    """The poison is in the dead letters, and nothing else."""
    poison = round.workload.folder / "poison"
    wanted = int(poison.read_text()) if poison.exists() else 0
    config = KafkaConfig(round.lab.kafka_bootstrap)
    known = round.lab.folder / "letters-seen"
    seen = set(json.loads(known.read_text())) if known.exists() else set()
    found = {letter.id for letter in asyncio.run(read_letters(config))}
    known.write_text(json.dumps(sorted(found)))
    round.expect(len(found - seen) == wanted, f"{wanted} poison messages, {len(found - seen)} dead letters")


def _clocks(lab: Lab, folder: Path) -> dict[str, Any]:
    """Trainers and senders whose clock is wrong by as much as a file says."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = folder / "clock"
    clock.write_bytes(bytes(8))
    path = f"{Path(__file__).with_name('clock')}{os.pathsep}{ROOT}"
    return {"extra": {"FAULTS_CLOCK_FILE": str(clock), "PYTHONPATH": path}}


def _step_clocks(round: Round) -> None:
    clock = round.workload.folder.parent / f"{round.workload.folder.name}-clock" / "clock"
    for _ in range(5):
        round.pause(0.5, 1.5)
        with clock.open("r+b") as file:
            file.write(struct.pack("<q", round.random.randint(-30, 30) * 3600))
        if round.random.random() < 0.4:
            stream = round.random.choice(round.workload.streams)
            round.workload.kill(stream)
            round.workload.attempt(stream)


def _replay_later(round: Round) -> None:
    """The load runs undisturbed; at rest, the group is reset to the beginning of the topic."""


def _check_replay(round: Round, findings: Findings) -> None:
    """All of the topic again: row for row the same answers, and what was deleted stays deleted."""
    lab, project = round.lab, round.workload.project
    gone = round.workload.runs[-1]
    lab.api.run(f"{project}/{gone}").delete()
    before = lab.checker.digest(project)
    for writer in lab.writers:
        lab.services[writer].stop()
    asyncio.run(_rewind(lab.kafka_bootstrap))
    for writer in lab.writers:
        lab.launch(writer)
    for writer in lab.writers:
        lab.wait_ready(writer)
    lab.wait_settled(project, round.workload.runs, 30)
    after = lab.checker.digest(project)
    round.expect(before == after, f"a replay of the topic changed an answer: {before}, then {after}")
    round.expect(lab.checker.count(project, [gone]) == 0, f"the deleted run {gone} came back")


async def _rewind(bootstrap: str) -> None:
    parts = [TopicPartition(TOPIC, number) for number in range(12)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id="runstream-writer", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(parts)
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(Exception):  # until the group has forgotten the members that left
                    await consumer.commit(dict.fromkeys(parts, 0))
                    break
                await asyncio.sleep(0.3)
    finally:
        await consumer.stop()


def _rewrite(round: Round) -> None:
    """Attempts follow each other and log old steps again, while writers come and go: two writers, one key."""
    for _ in range(4):
        round.pause(0.5, 1.5)
        stream = round.random.choice(round.workload.streams)
        if round.random.random() < 0.5:
            round.workload.kill(stream)
        round.workload.attempt(stream)
        if round.random.random() < 0.4 and round.lab.brokers:
            writer = round.random.choice(round.lab.writers)
            round.lab.kill(writer)
            round.lab.revive(writer)


def _offline(lab: Lab, folder: Path) -> dict[str, Any]:
    return {"extra": {"RUNSTREAM_MODE": "offline"}}


def _flip_bytes(round: Round) -> None:
    """Offline trainers are killed; then bits flip in what they left, and a tail is torn off."""
    round.pause(1.0, 3.0)
    for stream in round.workload.streams:
        round.workload.kill(stream)
    segments = [path for spool in round.workload.spools for path in sorted(spool.glob("streams/*/*.seg"))]
    round.expect(len(segments) >= len(round.workload.streams), f"{len(segments)} segments for all streams")
    torn: list[str] = []
    for path in round.random.sample(segments, len(segments) // 2 + 1):
        data = bytearray(path.read_bytes())
        used = len(bytes(data).rstrip(b"\0"))
        for _ in range(round.random.randint(1, 4)):
            data[round.random.randrange(64, used)] ^= 1 << round.random.randrange(8)
        if round.random.random() < 0.3:
            data[round.random.randrange(used // 2, used) :] = b""
            torn.append(path.parent.name)
        path.write_bytes(data)
    round.workload.folder.joinpath("torn").write_text(json.dumps(torn))


def _check_flipped(round: Round, findings: Findings) -> None:
    """What is missing is reported: no run with a gap says that it is complete. A tail that was torn off leaves no
    trace: to the reader it was never logged."""
    torn = set(json.loads(round.workload.folder.joinpath("torn").read_text()))
    traceless = {s.run for s in round.workload.streams if any(a.writer_id in torn for a in s.attempts)}
    short = {text.split("'")[1] for text in findings.all_missing} - traceless
    for run in short:
        verdict = round.lab.api.run(f"{round.workload.project}/{run}").completeness["verdict"]
        round.expect(verdict == "incomplete", f"{run} lacks records and is called {verdict}")
    findings.missing = findings.incomplete = 0
    findings.examples = [text for text in findings.examples if not text.startswith(("missing", "incomplete"))]


def _fill(folder: str) -> Callable[[Round], None]:
    """The disk below a part is full for some seconds."""

    def play(round: Round) -> None:
        round.pause(0.5, 1.5)
        disk = round.lab.disks[folder] if folder in round.lab.disks else round.workload.spools[0]
        ballast = disk / "ballast"
        file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
        try:
            for size in (1 << 16, 1 << 10):
                with contextlib.suppress(OSError):
                    while os.write(file, bytes(size)):
                        pass
            round.pause(4.0, 7.0)
        finally:
            os.close(file)
            ballast.unlink()

    return play


def _small_spool(lab: Lab, folder: Path) -> dict[str, Any]:
    """The first node's spool on a small disk; what finds no room there waits for it (`block`)."""
    disk = folder.parent / folder.name.removesuffix("-clock") / "node-0"
    load = {"metrics": 100, "rows_per_s": 250.0, "runs": 1}
    return {"small_spool": disk, "extra": {"RUNSTREAM_WHEN_FULL": "block"}, **load}


def _old_sdk(round: Round) -> None:
    """What every released SDK sent is sent again, while the present one sends too."""
    for path in sorted(BATCHES.glob("v*.json")):
        asyncio.run(_send_recorded(round, path.stem, json.loads(path.read_text())))


async def _send_recorded(round: Round, version: str, recorded: dict[str, Any]) -> None:
    lab = round.lab
    node = lab.nodes()[0]
    run = pb.RunPath(team="main", project="recorded", run="recorded")
    metadata = (("authorization", f"Bearer {lab.key}"),)
    async with grpc.aio.insecure_channel(node["RUNSTREAM_GATEWAY"]) as channel:
        call = rpc.IngestServiceStub(channel).Stream(metadata=metadata)
        await call.write(pb.IngestRequest(hello=pb.Hello(run=run, writer_id=recorded["writer"], world_size=1)))
        assert (await call.read()).WhichOneof("message") == "welcome"
        for number, text in enumerate(recorded["batches"], start=1):
            data = base64.b64decode(text)
            sealed = pb.SealedBatch(number=number, batch=data, crc32=zlib.crc32(data))
            await call.write(pb.IngestRequest(batch=sealed))
            answer = await call.read()
            round.expect(answer.WhichOneof("message") == "ack", f"batch {number} of {version}: {answer}")
        call.cancel()


def _check_recorded(round: Round, findings: Findings) -> None:
    run = round.lab.api.run("recorded/recorded")
    round.expect(run.completeness["verdict"] == "complete", f"recorded batches: {run.completeness}")
    round.expect(
        run.config == {"lr": 0.1} and list(run.tags) == ["old"], f"recorded config {run.config}, tags {run.tags}"
    )
    for series in run.series():
        metric = int(series.metric.split()[1])
        wanted = [value(metric, step) for step in range(ROWS)]
        round.expect(list(series.values) == wanted, f"recorded {series.metric} is not what was logged")


FAULTS: tuple[Fault, ...] = (
    Fault("kill sdk", (1, 3, 0), _kill_sdk),
    Fault("kill gateway", (1, 3), _kill("gateway-1", "gateway-2")),
    Fault("kill writer", (1, 3, 0), _kill("writer-1", "writer-2", "ingest")),
    Fault("kill query", (1, 0), _kill("query")),
    Fault("kill clickhouse", (1, 0), _kill("clickhouse")),
    Fault("kill broker", (1,), _kill_broker),
    Fault("kill leader", (3,), _kill_one_of_three(leader=True)),
    Fault("kill follower", (3,), _kill_one_of_three(leader=False)),
    Fault("kill all at once", (1, 0, 3), _kill_all),
    Fault("stop writer", (1, 3), _stop("writer-1", "writer-2"), load_s=6),
    Fault("stop gateway", (1,), _stop("gateway-1", "gateway-2"), load_s=6),
    Fault("stop clickhouse", (1, 0), _stop("clickhouse"), load_s=6),
    Fault("stop broker", (1,), _stop("broker-1"), load_s=6),
    Fault("stop query", (1, 0), _stop("query"), load_s=6),
    Fault("stop sdk", (1, 0), _stop_sdk, load_s=6),
    Fault("failpoints", (1, 3, 0), _failpoints, load_s=10),
    Fault("two gateways reordered", (1,), _reorder),
    Fault("deduplication lost", (1, 0), _no_tokens, load_s=10),
    Fault("rebalance storm", (1,), _storm, load_s=15),
    Fault("answers lost", (1, 0), _lost_answers, load_s=15),
    Fault("network", (1, 0), _network, load_s=10),
    Fault("poison", (1,), _poison, after=_check_letters),
    Fault("clock steps", (1,), _step_clocks, before=_clocks),
    Fault("replay from zero", (1,), _replay_later, load_s=4, after=_check_replay),
    Fault("old steps again", (1, 0), _rewrite),
    Fault("bytes flipped", (0, 1), _flip_bytes, load_s=4, before=_offline, after=_check_flipped, lossy=True),
    Fault("old sdk", (1, 0), _old_sdk, load_s=4, after=_check_recorded),
    Fault("disk full under clickhouse", (DISK_LAB,), _fill("clickhouse"), after=_check_letters),
    Fault("disk full under kafka", (DISK_LAB,), _fill("kafka")),
    Fault("disk full under the spool", (1, 0), _fill("spool"), before=_small_spool),
)
