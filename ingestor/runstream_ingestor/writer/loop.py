"""The writer's loop: gather deliveries, decode, store, confirm. While one flush is stored, the next one gathers."""

from __future__ import annotations

import asyncio
import time
from collections import deque

import structlog

from runstream_common.bus.protocol import BusClosedError, BusError, Consumer, Delivery, PoisonDelivery
from runstream_common.service.failpoints import passage
from runstream_common.service.logging import limited_warning
from runstream_ingestor.writer.batch_storer import BatchStorer
from runstream_ingestor.writer.dead_letter_writer import DeadLetterWriter
from runstream_ingestor.writer.deletion_filter import DeletionFilter
from runstream_ingestor.writer.flush import Inserter
from runstream_ingestor.writer.gathering import GatheredBatches, Gatherer
from runstream_ingestor.writer.instruments import WriterInstruments
from runstream_ingestor.writer.limits import FlushLimits
from runstream_ingestor.writer.replacement_tracker import ReplacementTracker
from runstream_ingestor.writer.retry import AbandonedError, RetryMonitor

LOG = structlog.get_logger()
_PAUSE_AFTER_S = 5.0
"""While a flush takes longer than this, nothing more is fetched; the membership of the group is kept alive."""


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
        deletions: DeletionFilter,
        replacements: ReplacementTracker,
    ) -> None:
        self._consumer = consumer
        self._limits = limits
        self._instruments = instruments
        self._replacements = replacements
        self._retries = RetryMonitor(consumer, instruments)
        self._dead_letters = DeadLetterWriter(consumer, insert, instruments, self._retries)
        self._storer = BatchStorer(
            insert, instruments, deletions, replacements, self._dead_letters, self._retries, limits.ledger
        )
        self._gatherer = Gatherer(consumer, limits, instruments, replacements, self._must_stop_gathering)
        self._stopping = asyncio.Event()
        self._storing: deque[asyncio.Task[None]] = deque()
        self._giving_up = False
        self._settled = asyncio.Event()
        self._last_turn = time.monotonic()

    @property
    def last_progress(self) -> float:
        """When the loop last turned, or retried an insert; the health check uses it."""
        return max(self._last_turn, self._retries.last_retry)

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Run until `stop()`.

        Raise BusError when the bus breaks in a way that it does not repair by itself. Raise TooManyDeadLettersError
        when so many messages become dead letters that going on would do harm.
        """
        storing = self._storing
        self._consumer.before_revoke(self._settle_all)
        try:
            while not self._stopping.is_set():
                if self._giving_up:
                    await self._rest()
                    continue
                full = len(storing) >= self._limits.parallel_inserts
                gathered = await self._gatherer.gather(patient=full and not storing[0].done())
                while storing and (storing[0].done() or (gathered.deliveries and full)):
                    await self._ended(storing[0])
                    storing.popleft()
                    if full:
                        await self._gatherer.top_up(gathered)
                    full = False
                if gathered.deliveries:
                    storing.append(asyncio.create_task(self._settle(gathered, storing[-1] if storing else None)))
                self._last_turn = time.monotonic()
                self._instruments.lag(self._consumer.lag())
        except BusClosedError:
            pass
        finally:
            results = await asyncio.gather(*storing, return_exceptions=True)
            self._settled.set()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, BusClosedError):
                raise result

    def _must_stop_gathering(self) -> bool:
        return self._stopping.is_set() or self._giving_up

    async def _settle_all(self) -> None:
        """Store and confirm what was polled: its partitions are about to be taken away."""
        self._settled.clear()
        self._giving_up = True
        try:
            await self._settled.wait()
        finally:
            self._replacements.forget()  # the partitions' next owner stores rows that are not known here
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
            LOG.warning("reading is paused, because ClickHouse does not keep up: new batches wait on the bus")
            self._instruments.paused(True)
            self._consumer.pause()
            try:
                while not task.done() and not self._stopping.is_set():
                    await self._gatherer.poll_early()
                    await asyncio.wait([task], timeout=1.0)
            finally:
                self._consumer.resume()
                self._instruments.paused(False)
                LOG.info("reading is resumed")
        await task

    async def _settle(self, gathered: GatheredBatches, before: asyncio.Task[None] | None) -> None:
        """Store the batches, make dead letters of those that cannot be stored, and confirm all of them.

        The confirmation comes after the flush `before`, so that offsets only go up. Raise TooManyDeadLettersError or
        InjectedFaultError.
        """
        try:
            for poison in gathered.poison:
                await self._dead_letters.write(poison, "unreadable message", poison.reason)
            for invalid in gathered.invalid:
                await self._dead_letters.write(invalid.delivery, invalid.reason, invalid.detail)
            if before is not None and any(decoded.may_replace for decoded in gathered.decoded):
                await asyncio.wait([before])  # these batches may replace rows that it stores
            if gathered.decoded:
                await self._storer.store(gathered.decoded)
        except AbandonedError:
            LOG.warning("a flush is left to the next owner of its partitions", batches=len(gathered.deliveries))
            return
        if before is not None:
            await asyncio.wait([before])
            if before.cancelled() or before.exception() is not None:
                return  # its batches are not stored: confirming these would skip them
        passage("writer.before_commit")
        await self._confirm(gathered.deliveries)
        passage("writer.after_commit")

    async def _confirm(self, deliveries: list[Delivery | PoisonDelivery]) -> None:
        try:
            await self._consumer.confirm(deliveries)
        except BusClosedError:
            return
        except BusError as error:
            # The batches are stored but not confirmed: they come again, and change nothing.
            limited_warning(
                LOG, "stored batches could not be confirmed: they are delivered again", 10.0, error=str(error)
            )
