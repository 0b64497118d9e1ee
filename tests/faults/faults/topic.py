"""What happens on the topic: poison among good batches, and a replay from offset zero."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from runstream_common.bus.dead_letters import read_letters
from runstream_common.bus.kafka_config import TOPIC, KafkaConfig
from tests.faults.faults.base import Round
from tests.faults.findings import Findings


def poison(round: Round) -> None:
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


def check_letters(round: Round, findings: Findings) -> None:
    """The poison is in the dead letters, and nothing else."""
    poison = round.workload.folder / "poison"
    wanted = int(poison.read_text()) if poison.exists() else 0
    config = KafkaConfig(round.lab.kafka_bootstrap)
    known = round.lab.folder / "letters-seen"
    seen = set(json.loads(known.read_text())) if known.exists() else set()
    found = {letter.id for letter in asyncio.run(read_letters(config))}
    known.write_text(json.dumps(sorted(found)))
    round.expect(len(found - seen) == wanted, f"{wanted} poison messages, {len(found - seen)} dead letters")


def replay_later(round: Round) -> None:
    """The load runs undisturbed; at rest, the group is reset to the beginning of the topic."""
    round.workload.wait_ended()


def check_replay(round: Round, findings: Findings) -> None:
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
