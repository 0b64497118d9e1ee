"""The writer's loop: gather deliveries, decode, store, confirm. While one flush is stored, the next one gathers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from runstream_common.bus.protocol import (
    BusClosedError,
    BusError,
    Consumer,
    Delivery,
    PoisonDelivery,
    TooManyDeadLettersError,
)
from runstream_common.clickhouse.client import StorageRefusedError
from runstream_common.service.failpoints import passage
from runstream_common.service.logging import limited_warning
from runstream_common.times import from_us, now_us
from runstream_ingestor.shape import ShapeError
from runstream_ingestor.writer import documents, tables
from runstream_ingestor.writer.decode import Decoded, decode
from runstream_ingestor.writer.instruments import WriterInstruments
from runstream_ingestor.writer.rewrites import Rewrites, Row
from runstream_ingestor.writer.store import (
    RETRY_MAX_S,
    RETRY_MIN_S,
    Flush,
    Inserter,
    InsertFailedError,
    described,
    prepare,
    store,
    to_insert,
)
from runstream_ingestor.writer.undertaker import Undertaker

LOG = structlog.get_logger()
_PAUSE_AFTER_S = 5.0
"""While a flush takes longer than this, nothing more is fetched; the membership of the group is kept alive."""


@dataclass(frozen=True, slots=True)
class FlushLimits:
    """The limits at which a flush is full.

    ClickHouse works best with large inserts; the age bounds how stale a chart is.
    """

    max_points: int = 500_000
    max_bytes: int = 32 << 20
    max_age_s: float = 0.15
    parallel_inserts: int = 2
    """One insert keeps about one core of ClickHouse busy."""
    ledger: bool = True
    """Turn the ledger off for measurements only: without it no run can be proved complete."""


class _AbandonedError(Exception):
    """All partitions of a flush were taken away before it could be stored: their next owner stores it."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """A batch that cannot be decoded, and the reason."""

    delivery: Delivery
    reason: str
    detail: str


@dataclass(slots=True)
class _Gathered:
    deliveries: list[Delivery | PoisonDelivery]
    decoded: list[Decoded]
    refused: list[_Refused]
    poison: list[PoisonDelivery]
    points: int = 0
    bytes: int = 0

    @classmethod
    def empty(cls) -> _Gathered:
        return cls([], [], [], [])


class Writer:
    """Move deliveries from a consumer into storage.

    `run()` runs until `stop()`, and then stores what was gathered.
    """

    def __init__(
        self,
        consumer: Consumer,
        insert: Inserter,
        limits: FlushLimits,
        instruments: WriterInstruments,
        undertaker: Undertaker,
        rewrites: Rewrites,
    ) -> None:
        self._consumer = consumer
        self._insert = insert
        self._limits = limits
        self._instruments = instruments
        self._undertaker = undertaker
        self._rewrites = rewrites
        self._stopping = asyncio.Event()
        self._storing: deque[asyncio.Task[None]] = deque()
        self._early: list[Delivery | PoisonDelivery] = []
        """Deliveries that were polled while the loop waited for a flush."""
        self._giving_up = False
        self._settled = asyncio.Event()
        self.last_progress = time.monotonic()
        """When the loop last turned; the health check uses it."""

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Run until `stop()`.

        Raise BusError when the bus breaks in a way that it does not repair by itself. Raise TooManyDeadLettersError
        when so much must be put aside that going on would do harm.
        """
        storing = self._storing
        self._consumer.before_revoke(self._settle_all)
        try:
            while not self._stopping.is_set():
                if self._giving_up:
                    await self._rest()
                    continue
                full = len(storing) >= self._limits.parallel_inserts
                gathered = await self._gather(patient=full and not storing[0].done())
                while storing and (storing[0].done() or (gathered.deliveries and full)):
                    await self._ended(storing[0])
                    storing.popleft()
                    if full:
                        await self._top_up(gathered)
                    full = False
                if gathered.deliveries:
                    storing.append(asyncio.create_task(self._settle(gathered, storing[-1] if storing else None)))
                self.last_progress = time.monotonic()
                self._instruments.lag(self._consumer.lag())
        except BusClosedError:
            pass
        finally:
            results = await asyncio.gather(*storing, return_exceptions=True)
            self._settled.set()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, BusClosedError):
                raise result

    async def _settle_all(self) -> None:
        """Store and confirm what was polled: its partitions are about to be taken away."""
        self._settled.clear()
        self._giving_up = True
        try:
            await self._settled.wait()
        finally:
            self._rewrites.forget()  # the partitions' next owner stores rows that are not known here
            self._giving_up = False

    async def _rest(self) -> None:
        if self._storing:
            await asyncio.wait(self._storing, timeout=0.5)
        if all(task.done() for task in self._storing):
            self._settled.set()
            await asyncio.sleep(0.01)

    async def _ended(self, task: asyncio.Task[None]) -> None:
        """Wait for a flush.

        While ClickHouse is unreachable this takes long. Nothing more is fetched then, so that batches wait on the bus,
        and behind it in the SDK's spools.
        """
        done, _ = await asyncio.wait([task], timeout=_PAUSE_AFTER_S)
        if not done:
            LOG.warning("paused: ClickHouse does not keep up, the bus keeps what comes")
            self._instruments.paused(True)
            self._consumer.pause()
            try:
                while not task.done() and not self._stopping.is_set():
                    self._early += await self._consumer.poll(0.0)
                    await asyncio.wait([task], timeout=1.0)
            finally:
                self._consumer.resume()
                self._instruments.paused(False)
                LOG.info("resumed")
        await task

    async def _gather(self, patient: bool) -> _Gathered:
        """Return what has arrived by the time a flush is full or old; empty when nothing came for a while.

        With `patient` no insert can begin now anyway, so that waiting for more costs nothing.
        """
        gathered = _Gathered.empty()
        deadline = time.monotonic() + self._limits.max_age_s
        while not self._stopping.is_set() and not self._giving_up:
            left = deadline - time.monotonic()
            if gathered.deliveries and left <= 0:
                break
            deliveries: Sequence[Delivery | PoisonDelivery] = self._early
            self._early = []
            if not deliveries:
                deliveries = await self._consumer.poll(max(left, 0.001) if gathered.deliveries or patient else 0.5)
            if not deliveries:
                if gathered.deliveries or patient:
                    break
                return gathered
            if not gathered.deliveries:
                deadline = time.monotonic() + self._limits.max_age_s
            await self._take(gathered, deliveries)
            if self._is_full(gathered):
                break
        return gathered

    async def _top_up(self, gathered: _Gathered) -> None:
        """Add what has arrived while these batches waited for their turn: else it would wait for them, too."""
        while not (self._stopping.is_set() or self._giving_up or self._is_full(gathered)):
            deliveries: Sequence[Delivery | PoisonDelivery] = self._early
            self._early = []
            if not deliveries:
                with contextlib.suppress(BusClosedError):  # what was gathered is stored all the same
                    deliveries = await self._consumer.poll(0.0)
            if not deliveries:
                return
            await self._take(gathered, deliveries)

    async def _take(self, gathered: _Gathered, deliveries: Sequence[Delivery | PoisonDelivery]) -> None:
        passage("writer.after_read")
        await asyncio.to_thread(self._decode_into, gathered, deliveries)
        passage("writer.after_decode")

    def _is_full(self, gathered: _Gathered) -> bool:
        return gathered.points >= self._limits.max_points or gathered.bytes >= self._limits.max_bytes

    def _decode_into(self, gathered: _Gathered, deliveries: Sequence[Delivery | PoisonDelivery]) -> None:
        started = time.perf_counter()
        for delivery in deliveries:
            gathered.deliveries.append(delivery)
            if isinstance(delivery, PoisonDelivery):
                gathered.poison.append(delivery)
                continue
            gathered.bytes += len(delivery.message.value)
            try:
                passage("writer.decode", delivery.message.origin.run)
                decoded = decode(delivery)
                self._rewrites.mark(decoded)
            except ShapeError as error:
                gathered.refused.append(_Refused(delivery, "batch does not hold together", str(error)))
                continue
            except BaseException as error:  # noqa: BLE001  # in a thread: nothing here is meant for the writer itself
                gathered.refused.append(_Refused(delivery, "batch cannot be decoded", described(error)))
                continue
            gathered.points += decoded.batch.points
            gathered.decoded.append(decoded)
        self._instruments.decoded(time.perf_counter() - started)

    async def _settle(self, gathered: _Gathered, before: asyncio.Task[None] | None) -> None:
        """Store the batches, put aside those that cannot be stored, and confirm all of them.

        The confirmation comes after the flush `before`, so that offsets only go up. Raise TooManyDeadLettersError or
        InjectedFaultError.
        """
        try:
            for poison in gathered.poison:
                await self._put_aside(poison, "unreadable message", poison.reason)
            for refused in gathered.refused:
                await self._put_aside(refused.delivery, refused.reason, refused.detail)
            if before is not None and any(decoded.may_replace for decoded in gathered.decoded):
                await asyncio.wait([before])  # these batches may replace rows that it stores
            if gathered.decoded:
                await self._store_all(gathered.decoded)
        except _AbandonedError:
            LOG.warning("a flush is left to its partitions' next owner", batches=len(gathered.deliveries))
            return
        if before is not None:
            await asyncio.wait([before])
            if before.cancelled() or before.exception() is not None:
                return  # its batches are not stored: confirming these would skip them
        passage("writer.before_commit")
        await self._confirm(gathered.deliveries)
        passage("writer.after_commit")

    async def _store_all(self, batches: list[Decoded], again: bool = False) -> None:
        """Store the batches. With `again` their insert has failed once, in an unknown way.

        Raise _AbandonedError or TooManyDeadLettersError.
        """
        deliveries = [decoded.delivery for decoded in batches]

        async def retry(error: Exception) -> None:
            await self._retry(deliveries, error)

        batches = await self._undertaker.without_dead(batches, retry)
        if not batches:
            return
        ledger = self._limits.ledger
        try:
            replaced = await self._rewrites.notes(batches, retry) if ledger else []
        except _AbandonedError:
            raise
        except Exception as error:  # noqa: BLE001  # as in _prepared
            await self._isolate(batches, "batch cannot be prepared", described(error))
            return
        flush = await asyncio.to_thread(_prepared, batches, replaced, ledger)
        if isinstance(flush, str):
            await self._isolate(batches, "batch cannot be prepared", flush)
            return
        try:
            seconds = await store(flush, self._insert, retry)
        except StorageRefusedError as error:
            await self._isolate(batches, "refused by ClickHouse", str(error))
            return
        except InsertFailedError as error:
            await self._until_rows_are_taken(deliveries, error)
            if again or len(batches) > 1:
                await self._isolate(batches, "insert failed", str(error))
            else:
                await self._store_all(batches, again=True)
            return
        await self._undertaker.bury_late(batches, retry)
        self._count(flush, seconds)

    async def _isolate(self, batches: list[Decoded], reason: str, detail: str) -> None:
        """Find the batch that can never be stored by halving, put it aside, and store all others.

        Raise _AbandonedError or TooManyDeadLettersError.
        """
        if len(batches) == 1:
            await self._put_aside(batches[0].delivery, reason, detail)
            return
        half = len(batches) // 2
        await self._store_all(batches[:half])
        await self._store_all(batches[half:])

    async def _until_rows_are_taken(self, deliveries: Sequence[Delivery], error: Exception) -> None:
        """Wait until the storage accepts an insert without rows.

        While it accepts none, the storage or its driver is at fault, and no batch. Raise _AbandonedError.
        """
        nothing = Flush([], [to_insert("rejects", tables.to_table("rejects", []))])

        async def retry(error: Exception) -> None:
            await self._retry(deliveries, error)

        delay = RETRY_MIN_S
        while True:
            try:
                await store(nothing, self._insert, retry)
                return
            except (StorageRefusedError, InsertFailedError):
                await retry(error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_S)

    async def _put_aside(self, delivery: Delivery | PoisonDelivery, reason: str, detail: str) -> None:
        """Keep a message as a dead letter, and note it in the table from which its run's completeness is computed."""
        self._instruments.poison(reason)
        LOG.error("put aside", reason=reason, detail=detail, position=delivery.position)

        async def refuse() -> None:
            await self._consumer.refuse(delivery, reason, detail)

        await self._until_done(delivery, refuse)
        if isinstance(delivery, Delivery):
            await self._note_aside(delivery, reason, detail)

    async def _note_aside(self, delivery: Delivery, reason: str, detail: str) -> None:
        """Note in `rejects` that the batch is put aside. Raise _AbandonedError."""
        row = documents.reject_row(delivery.message.origin, reason, 0, detail, from_us(now_us()))

        async def retry(error: Exception) -> None:
            await self._retry([delivery], error)

        try:
            await store(Flush([], [to_insert("rejects", tables.to_table("rejects", [row]))]), self._insert, retry)
        except (StorageRefusedError, InsertFailedError, ValueError) as error:
            LOG.error("what was put aside could not be noted", error=str(error), position=delivery.position)

    async def _until_done(self, delivery: Delivery | PoisonDelivery, act: Callable[[], Awaitable[None]]) -> None:
        delay = RETRY_MIN_S
        while True:
            try:
                await act()
                return
            except TooManyDeadLettersError:
                raise
            except BusError as error:
                await self._retry([delivery], error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_S)

    async def _confirm(self, deliveries: list[Delivery | PoisonDelivery]) -> None:
        try:
            await self._consumer.confirm(deliveries)
        except BusClosedError:
            return
        except BusError as error:
            # The batches are stored but not confirmed: they come again, and change nothing.
            limited_warning(LOG, "confirm failed, will be stored again", 10.0, error=str(error))

    async def _retry(self, deliveries: Sequence[Delivery | PoisonDelivery], error: Exception) -> None:
        """Count and log a retry. Raise _AbandonedError when none of the deliveries belongs to this writer any more."""
        self._instruments.retried()
        limited_warning(LOG, "insert failed, trying again with the same bytes", 5.0, error=str(error))
        self.last_progress = time.monotonic()
        if not any(self._consumer.owns(delivery) for delivery in deliveries):
            raise _AbandonedError

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


def _prepared(batches: list[Decoded], replaced: list[Row], ledger: bool) -> Flush | str:
    """Return a flush, or the reason why there is none.

    An exception is returned as text, because some of them (StopIteration, CancelledError) do not pass unchanged from a
    thread to the task that waits for it.
    """
    try:
        return prepare(batches, replaced, ledger)
    except BaseException as error:  # noqa: BLE001  # as above: the batch that it comes from is put aside
        return described(error)
