"""`python -m tests.faults.sabotage`: the laboratory's own test. Each guard of the product is taken out in turn, and the
fault that it guards against is played until the checker notices; one that is never noticed is a hole in the checker.

A guard is taken out at run time, in the processes of the lab alone: nothing in the product can be switched off so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROUNDS = 4
"""A fault strikes at random moments: one round may miss."""


@dataclass(frozen=True, slots=True)
class Guard:
    """`module` is broken by the function `breaker` of this file when it is imported in the lab's processes."""

    fault: str
    brokers: int
    guard: str
    module: str
    breaker: str


_SENDER, _KAFKA = "runstream.sender.carrier", "runstream_common.bus.kafka"
_FILES = "runstream.spool.files"
_ACCUMULATOR = "aiokafka.producer.message_accumulator"
_LOOP, _STORE, _DECODE = (f"runstream_ingestor.writer.{name}" for name in ("loop", "store", "decode"))
_SETTLED = "a batch is settled by its ack, not when it is sent"
_ACKED = "the ack comes after Kafka's"
_COMMITTED = "offsets are committed after the insert"
_REPEATED = "an insert is repeated until it is answered"
_KEYED = "the natural key makes a row one"
_VERSIONED = "versions are epoch and number"

GUARDS: tuple[Guard, ...] = (
    Guard("kill sdk", 1, _SETTLED, _SENDER, "settle_sent"),
    Guard("kill gateway", 1, _ACKED, _KAFKA, "ack_early"),
    Guard("kill writer", 1, _COMMITTED, _LOOP, "commit_first"),
    Guard("kill clickhouse", 1, _REPEATED, _STORE, "no_retry"),
    Guard("kill broker", 1, "what Kafka did not take is sent again", _ACCUMULATOR, "no_resend"),
    Guard("kill leader", 3, "acks=all", _KAFKA, "one_ack"),
    Guard("kill all at once", 1, _COMMITTED, _LOOP, "commit_first"),
    Guard("stop writer", 1, _KEYED, "tests.faults.lab", "plain_tables"),
    Guard("failpoints", 1, _COMMITTED, _LOOP, "commit_first"),
    Guard("two gateways", 1, _VERSIONED, _DECODE, "arrival_versions"),
    Guard("deduplication lost", 1, _KEYED, "tests.faults.lab", "plain_tables"),
    Guard("rebalance storm", 1, _KEYED, "tests.faults.lab", "plain_tables"),
    Guard("answers lost", 1, _REPEATED, _STORE, "no_retry"),
    Guard("network", 0, _SETTLED, _SENDER, "settle_sent"),
    Guard("disk full under clickhouse", 11, "no fault of the data", "runstream_common.clickhouse", "full_is_poison"),
    Guard("poison", 1, "what is put aside goes to the dead letters", _KAFKA, "no_dead_letters"),
    Guard("clock steps", 1, _VERSIONED, _DECODE, "clock_versions"),
    Guard("replay from zero", 1, "tombstones", "runstream_ingestor.writer.undertaker", "no_tombstones"),
    Guard("old steps again", 1, _VERSIONED, _DECODE, "same_versions"),
    Guard("bytes flipped", 0, "a checksum a record", "runstream.spool.reader", "no_checksums"),
    Guard("old sdk", 1, "every released format is read", "runstream_ingestor.shape", "newer_only"),
    Guard("disk full under kafka", 11, "what Kafka did not take is sent again", _ACCUMULATOR, "no_resend"),
    Guard("disk full under the spool", 1, "a segment has its room before it is mapped", _FILES, "no_room"),
)


# Each of these takes a guard out of the module it is given.


def settle_sent(module: Any) -> None:
    send = module.Carrier._send

    async def broken(self: Any, link: Any, key: str, number: int, batch: bytes) -> None:
        await send(self, link, key, number, batch)
        self._settle(number)

    module.Carrier._send = broken


def ack_early(module: Any) -> None:
    publish = module.KafkaPublisher.publish

    async def broken(self: Any, message: Any) -> None:
        task = asyncio.create_task(publish(self, message))
        self.__dict__.setdefault("_loose", set()).add(task)

    module.KafkaPublisher.publish = broken


def no_resend(module: Any) -> None:
    def broken(self: Any, batch: Any) -> None:
        self._pending_batches.remove(batch)
        batch.done_noack()

    module.MessageAccumulator.reenqueue = broken


def one_ack(module: Any) -> None:
    producer = module.AIOKafkaProducer

    def broken(**options: Any) -> Any:
        return producer(**{**options, "acks": 1, "enable_idempotence": False})

    module.AIOKafkaProducer = broken


def commit_first(module: Any) -> None:
    settle = module.Writer._settle

    async def broken(self: Any, gathered: Any, before: Any) -> None:
        await self._confirm(gathered.deliveries)
        await asyncio.sleep(0.3)
        await settle(self, gathered, before)

    module.Writer._settle = broken


def no_retry(module: Any) -> None:
    async def broken(flush: Any, insert: Any, on_retry: Any) -> float:
        for one in flush.inserts:
            try:
                await insert(one.table, one.columns, one.data, one.token)
            except module.StorageUnavailableError:
                return 0.0
        return 0.0

    module.store = broken


def plain_tables(module: Any) -> None:
    render = module.render

    def broken(statement: str, cluster: str = "") -> str:
        if "TABLE IF NOT EXISTS points" in statement:
            statement = statement.replace("{{engine:ReplacingMergeTree(version)}}", "{{engine:MergeTree}}")
        return str(render(statement, cluster)) if "MODIFY SETTING non_replicated" not in statement else "SELECT 1"

    module.render = broken


def full_is_poison(module: Any) -> None:
    module._THE_DATA = frozenset(range(1, 1000)) - {210, 209}
    module._RETRY_CODES = frozenset({210, 209})


def no_dead_letters(module: Any) -> None:
    async def broken(self: Any, delivery: Any, reason: str, detail: str) -> None:
        return None

    module.KafkaConsumer.refuse = broken


def clock_versions(module: Any) -> None:
    block = module._block

    def broken(frame: Any, origin: Any, rejected: Any) -> Any:
        found = block(frame, origin, rejected)
        if found is not None:
            found.versions[:] = found.times_us.astype(found.versions.dtype)
        return found

    module._block = broken


def arrival_versions(module: Any) -> None:
    block = module._block

    def broken(frame: Any, origin: Any, rejected: Any) -> Any:
        found = block(frame, origin, rejected)
        if found is not None:
            found.versions[:] = time.time_ns()
        return found

    module._block = broken


def same_versions(module: Any) -> None:
    block = module._block

    def broken(frame: Any, origin: Any, rejected: Any) -> Any:
        found = block(frame, origin, rejected)
        if found is not None:
            found.versions[:] = 1
        return found

    module._block = broken


def no_tombstones(module: Any) -> None:
    async def everything(self: Any, batches: Any, on_retry: Any) -> list[Any]:
        return list(batches)

    async def nothing(self: Any, batches: Any, on_retry: Any) -> None:
        return None

    module.TombstoneUndertaker.without_dead = everything
    module.TombstoneUndertaker.bury_late = nothing


def no_checksums(module: Any) -> None:
    drain = module.SpoolReader._drain_segment

    def broken(self: Any, *arguments: Any) -> Any:
        known = module._crc32
        view = self._view

        class Any_(int):  # equals every checksum
            def __eq__(self, other: object) -> bool:
                return True

            def __ne__(self, other: object) -> bool:
                return False

            __hash__ = int.__hash__

        module._crc32 = lambda data: Any_(0)
        try:
            assert view is not None
            return drain(self, *arguments)
        finally:
            module._crc32 = known

    module.SpoolReader._drain_segment = broken


def newer_only(module: Any) -> None:
    parse = module.parse

    def broken(data: bytes) -> Any:
        batch = parse(data)
        if batch.run.run == "recorded":
            raise module.ShapeError(module.pb.REJECT_REASON_BAD_SHAPE, "a format of the past")
        return batch

    module.parse = broken


def no_room(module: Any) -> None:
    class Sparse:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def posix_fallocate(self, fd: int, start: int, size: int) -> None:
            os.ftruncate(fd, start + size)

    module.os = Sparse()


def main() -> int:
    from tests.faults.__main__ import report
    from tests.faults.rounds import Labs, plan, play

    parser = argparse.ArgumentParser(prog="python -m tests.faults.sabotage", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="faults whose name contains this")
    arguments = parser.parse_args()
    noticed: dict[str, bool] = {}
    for guard in GUARDS:
        if arguments.only not in guard.fault:
            continue
        folder = Path(tempfile.mkdtemp(prefix="sabotage-"))
        name = f"{guard.fault}: without '{guard.guard}' ({guard.breaker})"
        print(name, flush=True)
        noticed[name] = False
        with Labs(folder, sabotage=f"{guard.module}:{guard.breaker}") as labs:
            planned = plan(arguments.seed, ROUNDS, guard.fault, guard.brokers)
            for number, (fault, brokers) in enumerate(planned, start=1):
                outcome = play(labs.lab(brokers), fault, folder, arguments.seed, number)
                report(outcome)
                said = [text for text in outcome.problems if "Traceback" not in text]  # not a lab that broke down
                if said or not outcome.findings.clean:
                    noticed[name] = True
                    break
    print(json.dumps({"sabotaged": len(noticed), "noticed": sum(noticed.values()), "guards": noticed}))
    return 0 if all(noticed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
