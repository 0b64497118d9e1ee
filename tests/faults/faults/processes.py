"""Processes that die or stand still."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from runstream_common.bus.kafka_config import TOPIC
from tests.faults.faults.base import Round
from tests.faults.faults.network import unheard_senders
from tests.faults.workload import ROOT

FAILPOINTS = (
    "writer.after_read",
    "writer.after_decode",
    "writer.before_send",
    "writer.before_points",
    "writer.insert_applied",
    "writer.before_ledger",
    "writer.before_commit",
    "writer.after_commit",
)

STOP_S = 30.0


def kill(*names: str) -> Callable[[Round], None]:
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


def _kill_senders(round: Round, unheard: bool) -> None:
    """`unheard`: what they sent last has come to nobody."""
    with unheard_senders(round) if unheard else contextlib.nullcontext():
        for sender in round.workload.senders():
            with contextlib.suppress(psutil.NoSuchProcess):
                sender.kill()


def kill_sdk(round: Round) -> None:
    """Trainers and senders die; the trainers' next attempts log old steps again."""
    for number in range(6):
        if number % 2:
            round.workload.wait_sending()
            round.pause(0.2, 1.2)
            _kill_senders(round, unheard=round.random.random() < 0.6)
        else:
            round.pause(0.2, 1.2)
            stream = round.random.choice(round.workload.streams)
            round.workload.kill(stream)
            round.workload.attempt(stream)


def kill_sender(round: Round) -> None:
    """The senders die again and again beside trainers that live: each is replaced, and no run is shown crashed."""
    workload = round.workload
    for number in range(5):
        workload.wait_sending()
        round.pause(0.2, 1.2)
        _kill_senders(round, unheard=bool(number % 2))


def kill_broker(round: Round) -> None:
    broker = round.lab.broker("broker-1")
    for _ in range(2):
        round.pause(0.5, 2.0)
        broker.kill()
        round.pause(0.5, 2.0)
        round.lab.revive("broker-1")


def kill_one_of_three(leader: bool) -> Callable[[Round], None]:
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


def kill_all(round: Round) -> None:
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


def stop(*names: str) -> Callable[[Round], None]:
    """SIGSTOP for 30 s: longer than the consumers' session, so that a writer wakes up as a zombie."""

    def play(round: Round) -> None:
        round.pause(0.5, 2.0)
        name = round.random.choice([name for name in names if name in (*round.lab.names, "clickhouse", "broker-1")])
        round.lab.signal(name, signal.SIGSTOP)
        time.sleep(STOP_S)
        round.lab.signal(name, signal.SIGCONT)

    return play


def stop_sdk(round: Round) -> None:
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


def failpoints(round: Round) -> None:
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
    round.lab.kill(writer)  # one that waits for its failpoint would die when all is healed
    round.lab.launch(writer)
    round.lab.wait_ready(writer)


def storm(round: Round) -> None:
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
            timeout=300,  # on a machine that is busy with others
            check=False,
        )
    round.expect(storm.returncode == 0, f"the storm ended with {storm.returncode}: {log.read_text()[-1500:]}")
