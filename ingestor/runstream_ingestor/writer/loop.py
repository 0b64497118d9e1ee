"""The writer's loop: gather deliveries, decode, store, confirm; the next flush gathers while one is stored."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from runstream_common.bus.protocol import BusClosedError, BusError, Consumer, Delivery, PoisonDelivery
from runstream_common.clickhouse import StorageRefusedError
from runstream_common.logging import limited_warning
from runstream_common.times import from_us, now_us
from runstream_ingestor.shape import ShapeError
from runstream_ingestor.writer import documents, tables
from runstream_ingestor.writer.decode import Decoded, decode
from runstream_ingestor.writer.instruments import WriterInstruments
from runstream_ingestor.writer.store import Flush, Inserter, prepare, store, to_insert

LOG = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FlushLimits:
    """When a flush is full. Large inserts are what ClickHouse likes; age bounds how stale a chart is."""

    max_points: int = 500_000
    max_bytes: int = 32 << 20
    max_age_s: float = 0.15
    parallel_inserts: int = 2
    """One insert keeps one core of ClickHouse busy, more or less."""


@dataclass(slots=True)
class _Gathered:
    deliveries: list[Delivery | PoisonDelivery]
    decoded: list[Decoded]
    refused: list[tuple[Delivery, ShapeError]]
    poison: list[PoisonDelivery]
    points: int = 0
    bytes: int = 0

    @classmethod
    def empty(cls) -> _Gathered:
        return cls([], [], [], [])


class Writer:
    """Moves deliveries from a consumer into storage. `run()` until `stop()`; then what was gathered is stored."""

    def __init__(
        self, consumer: Consumer, insert: Inserter, limits: FlushLimits, instruments: WriterInstruments
    ) -> None:
        self._consumer = consumer
        self._insert = insert
        self._limits = limits
        self._instruments = instruments
        self._stopping = asyncio.Event()
        self.last_progress = time.monotonic()
        """When the loop last turned: its health."""

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Raises BusError when the bus breaks in a way that it does not mend by itself."""
        storing: deque[asyncio.Task[None]] = deque()
        try:
            while not self._stopping.is_set():
                full = len(storing) >= self._limits.parallel_inserts
                gathered = await self._gather(patient=full and not storing[0].done())
                while storing and (storing[0].done() or (gathered.deliveries and full)):
                    await storing.popleft()
                    full = False
                if gathered.deliveries:
                    storing.append(asyncio.create_task(self._settle(gathered, storing[-1] if storing else None)))
                self.last_progress = time.monotonic()
                self._instruments.lag(self._consumer.lag())
        except BusClosedError:
            pass
        finally:
            for task in storing:
                await task

    async def _gather(self, patient: bool) -> _Gathered:
        """What has arrived by the time a flush is full or old; empty when nothing came for a while.

        `patient`: no insert can begin now anyway, so that waiting for more costs nothing.
        """
        gathered = _Gathered.empty()
        deadline = time.monotonic() + self._limits.max_age_s
        while not self._stopping.is_set():
            left = deadline - time.monotonic()
            if gathered.deliveries and left <= 0:
                break
            deliveries = await self._consumer.poll(max(left, 0.001) if gathered.deliveries or patient else 0.5)
            if not deliveries:
                if gathered.deliveries or patient:
                    break
                return gathered
            if not gathered.deliveries:
                deadline = time.monotonic() + self._limits.max_age_s
            await asyncio.to_thread(self._decode_into, gathered, deliveries)
            if gathered.points >= self._limits.max_points or gathered.bytes >= self._limits.max_bytes:
                break
        return gathered

    def _decode_into(self, gathered: _Gathered, deliveries: Sequence[Delivery | PoisonDelivery]) -> None:
        started = time.perf_counter()
        for delivery in deliveries:
            gathered.deliveries.append(delivery)
            if isinstance(delivery, PoisonDelivery):
                gathered.poison.append(delivery)
                continue
            gathered.bytes += len(delivery.message.value)
            try:
                decoded = decode(delivery)
            except ShapeError as error:
                gathered.refused.append((delivery, error))
                continue
            gathered.points += decoded.batch.points
            gathered.decoded.append(decoded)
        self._instruments.decoded(time.perf_counter() - started)

    async def _settle(self, gathered: _Gathered, before: asyncio.Task[None] | None) -> None:
        """Store, put aside what cannot be, and confirm all after the flush `before`: offsets go up."""
        for poison in gathered.poison:
            self._instruments.poison("unreadable message")
            LOG.error("poison message put aside", reason=poison.reason, bytes=len(poison.raw), position=poison.position)
        for delivery, error in gathered.refused:
            await self._put_aside(delivery, "batch does not hold together", str(error))
        if gathered.decoded:
            await self._store_all(gathered.decoded)
        if before is not None:
            await asyncio.wait([before])
            if before.cancelled() or before.exception() is not None:
                return  # what it held is not stored: confirming this would skip it
        await self._confirm(gathered.deliveries)

    async def _store_all(self, batches: list[Decoded]) -> None:
        flush = await asyncio.to_thread(prepare, batches)
        try:
            seconds = await store(flush, self._insert, self._retry)
        except StorageRefusedError as error:
            if len(batches) == 1:
                await self._put_aside(batches[0].delivery, "refused by ClickHouse", str(error))
                return
            # One of them is poison: store them one by one, so that its siblings are not held up.
            for decoded in batches:
                await self._store_all([decoded])
            return
        self._count(flush, seconds)

    async def _put_aside(self, delivery: Delivery, reason: str, detail: str) -> None:
        self._instruments.poison(reason)
        origin = delivery.message.origin
        LOG.error("batch put aside", reason=reason, detail=detail, run=origin.run, batch=origin.batch_number)
        row = documents.reject_row(origin, reason, 0, detail, from_us(now_us()))
        await store(Flush([], [to_insert("rejects", tables.to_table("rejects", [row]))]), self._insert, self._retry)
        await self._consumer.refuse(delivery, detail)

    async def _confirm(self, deliveries: list[Delivery | PoisonDelivery]) -> None:
        with contextlib.suppress(BusClosedError):
            try:
                await self._consumer.confirm(deliveries)
            except BusError as error:
                # Stored but not confirmed: it comes again and changes nothing.
                limited_warning(LOG, "confirm failed, will be stored again", 10.0, error=str(error))

    async def _retry(self, error: Exception) -> None:
        self._instruments.retried()
        limited_warning(LOG, "insert failed, trying again with the same bytes", 5.0, error=str(error))
        self.last_progress = time.monotonic()

    def _count(self, flush: Flush, seconds: float) -> None:
        rows: dict[str, int] = {}
        for insert in flush.inserts:
            rows[insert.table] = rows.get(insert.table, 0) + insert.rows
        now = now_us()
        oldest = min(decoded.delivery.message.origin.received_us for decoded in flush.batches)
        rejected: dict[str, int] = {}
        for decoded in flush.batches:
            for reason, points in decoded.rejected.items():
                rejected[reason] = rejected.get(reason, 0) + points
        self._instruments.stored(rows, len(flush.batches), seconds, max(now - oldest, 0) / 1e6, rejected)
