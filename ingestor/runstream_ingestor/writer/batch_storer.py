"""Store decoded batches, and find the one among them that can never be stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from runstream_common.bus.protocol import Delivery
from runstream_common.clickhouse.client import StorageRefusedError
from runstream_common.times import now_us
from runstream_ingestor.writer import arrow_schemas
from runstream_ingestor.writer.dead_letter_writer import DeadLetterWriter
from runstream_ingestor.writer.decode import DecodedBatch
from runstream_ingestor.writer.deletion_filter import DeletionFilter
from runstream_ingestor.writer.flush import (
    Flush,
    Inserter,
    InsertFailedError,
    describe_error,
    prepare,
    store,
    to_insert,
)
from runstream_ingestor.writer.instruments import WriterInstruments
from runstream_ingestor.writer.replacement_tracker import ReplacementTracker, Row
from runstream_ingestor.writer.retry import AbandonedError, RetryMonitor, retry_until_done


class BatchStorer:
    """Store batches without what is deleted. A batch that can never be stored becomes a dead letter."""

    def __init__(
        self,
        insert: Inserter,
        instruments: WriterInstruments,
        deletions: DeletionFilter,
        replacements: ReplacementTracker,
        dead_letters: DeadLetterWriter,
        retries: RetryMonitor,
        ledger: bool,
    ) -> None:
        self._insert = insert
        self._instruments = instruments
        self._deletions = deletions
        self._replacements = replacements
        self._dead_letters = dead_letters
        self._retries = retries
        self._ledger = ledger

    async def store(self, batches: list[DecodedBatch], repeated: bool = False) -> None:
        """Store the batches. With `repeated` their insert has failed once, for an unknown reason.

        Raise AbandonedError or TooManyDeadLettersError.
        """
        deliveries = [decoded.delivery for decoded in batches]
        on_retry = self._retries.of(deliveries)
        batches = await self._deletions.without_deleted(batches, on_retry)
        if not batches:
            return
        try:
            replaced = await self._replacements.notes(batches, on_retry) if self._ledger else []
        except AbandonedError:
            raise
        except Exception as error:  # noqa: BLE001  # as in _prepared
            await self._isolate(batches, "batch cannot be prepared", describe_error(error))
            return
        flush = await asyncio.to_thread(_prepared, batches, replaced, self._ledger)
        if isinstance(flush, str):
            await self._isolate(batches, "batch cannot be prepared", flush)
            return
        try:
            seconds = await store(flush, self._insert, on_retry)
        except StorageRefusedError as error:
            await self._isolate(batches, "refused by ClickHouse", str(error))
            return
        except InsertFailedError as error:
            await self._wait_until_inserts_succeed(deliveries, error)
            if repeated or len(batches) > 1:
                await self._isolate(batches, "insert failed", str(error))
            else:
                await self.store(batches, repeated=True)
            return
        await self._deletions.purge_late(batches, on_retry)
        self._count(flush, seconds)

    async def _isolate(self, batches: list[DecodedBatch], reason: str, detail: str) -> None:
        """Find the batch that can never be stored by halving, make it a dead letter, and store all others.

        Raise AbandonedError or TooManyDeadLettersError.
        """
        if len(batches) == 1:
            await self._dead_letters.write(batches[0].delivery, reason, detail)
            return
        half = len(batches) // 2
        await self.store(batches[:half])
        await self.store(batches[half:])

    async def _wait_until_inserts_succeed(self, deliveries: Sequence[Delivery], error: InsertFailedError) -> None:
        """Wait until the storage accepts an insert without rows.

        While it accepts none, the storage or its driver is at fault, and no batch. `error` is logged at each attempt.
        Raise AbandonedError.
        """
        on_retry = self._retries.of(deliveries)
        nothing = Flush([], [to_insert("rejects", arrow_schemas.to_table("rejects", []))])
        await retry_until_done(
            partial(store, nothing, self._insert, on_retry), lambda _: on_retry(error), _is_refused_or_failed
        )

    def _count(self, flush: Flush, seconds: float) -> None:
        rows: dict[str, int] = {}
        for insert in flush.inserts:
            rows[insert.table] = rows.get(insert.table, 0) + insert.rows
        now = now_us()
        oldest = min(decoded.delivery.message.origin.received_us for decoded in flush.batches)
        rejected: dict[str, int] = {}
        for decoded in flush.batches:
            for reason, points in decoded.all_rejected().items():
                rejected[reason] = rejected.get(reason, 0) + points
        self._instruments.stored(rows, len(flush.batches), seconds, max(now - oldest, 0) / 1e6, rejected)


def _is_refused_or_failed(error: Exception) -> bool:
    return isinstance(error, (StorageRefusedError, InsertFailedError))


def _prepared(batches: list[DecodedBatch], replaced: list[Row], ledger: bool) -> Flush | str:
    """Return a flush, or the reason why there is none.

    An exception is returned as text, because some of them (StopIteration, CancelledError) do not pass unchanged from a
    thread to the task that waits for it.
    """
    try:
        return prepare(batches, replaced, ledger)
    except BaseException as error:  # noqa: BLE001  # as above: the batch that it comes from becomes a dead letter
        return describe_error(error)
