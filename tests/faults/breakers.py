"""What `sabotage` takes out of the product: each function breaks one guard of the module it is given."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any


def settle_sent(module: Any) -> None:
    send = module.StreamUploader._send

    async def broken(self: Any, link: Any, key: str, number: int, batch: bytes) -> None:
        await send(self, link, key, number, batch)
        self._settle(number)

    module.StreamUploader._send = broken


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

    module.TombstoneFilter.without_deleted = everything
    module.TombstoneFilter.purge_late = nothing


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
            raise module.InvalidBatchError(module.pb.REJECT_REASON_BAD_SHAPE, "a format of the past")
        return batch

    module.parse = broken


def no_room(module: Any) -> None:
    class Sparse:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def posix_fallocate(self, fd: int, start: int, size: int) -> None:
            os.ftruncate(fd, start + size)

    module.os = Sparse()


def fewer_documents(module: Any) -> None:
    whole = module._rows_of

    def broken(record: Any, decoded: Any) -> Any:
        return iter(()) if record.WhichOneof("kind") == "table" else whole(record, decoded)

    module._rows_of = broken


def no_gaps(module: Any) -> None:
    gaps = module.gaps
    module.gaps = lambda ranges, last: gaps(ranges, last)[:1]


def shared_stream(module: Any) -> None:
    module.Ending.leave_to_parent = lambda self: None


def silent_end(module: Any) -> None:
    module.Recorder.report_closed = lambda self, why: None


def no_finish_at_exit(module: Any) -> None:
    module._finish_all = lambda: None


def dead_first(module: Any) -> None:
    """Streams of living processes wait for their turn behind the dead ones."""
    module.is_alive = lambda folder: False
    module.CATCH_UP = 1


def clock_alone(module: Any) -> None:
    """Silence counts, whether the server listened or not."""
    module.heard_since = lambda marks, crash_after_us, now_us: now_us - crash_after_us


def no_tether(module: Any) -> None:
    module._get_signal_of_kernel = lambda: None
    module._has_ended = lambda fd: False
    module._watch = lambda fd: None


def no_check(module: Any) -> None:
    module.check = lambda path: None


def same_epochs(module: Any) -> None:
    module.EPOCHS_SKIPPED = 0


def no_upload(module: Any) -> None:
    async def broken(self: Any, key: str, content: Any) -> None:
        return None

    module.StreamUploader._upload = broken


def trouble_is_the_end(module: Any) -> None:
    """What could not be sent at the first try is given up."""
    trouble = module.StreamUploader._trouble

    def broken(self: Any, text: str) -> None:
        trouble(self, text)
        for number in sorted(self._in_flight):
            self._settle(number)

    module.StreamUploader._trouble = broken


def ledger_alone(module: Any) -> None:
    async def broken(storage: Any, project: str, described: Any) -> Any:
        return {run: one.whole for run, one in described.items()}

    module.judge = broken


def no_isolation(module: Any) -> None:
    """A batch that cannot be stored ends the writer."""

    async def broken(self: Any, batches: Any, reason: str, detail: str) -> None:
        raise RuntimeError(f"{reason}: {detail}")

    module.BatchStorer._isolate = broken


def no_validation(module: Any) -> None:
    def broken(self: Any, sealed: Any) -> Any:
        try:
            return module.pb.Batch.FromString(sealed.batch)
        except Exception:  # noqa: BLE001  # whatever it is, it is taken
            return module.pb.Batch()

    module.StreamSession._checked = broken


def any_text(module: Any) -> None:
    module.valid = module.valid_name = str
    module.plain = lambda value, depth=0: value


def any_size(module: Any) -> None:
    def broken(body: bytes, max_bytes: int) -> bytes:
        return bytes(module.zstandard.ZstdDecompressor().decompress(body, max_output_size=max_bytes))

    module._unzstd = broken
