"""Gather deliveries from the bus until they are enough for a flush, and decode them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runstream_common.bus.protocol import BusClosedError, Consumer, Delivery, PoisonDelivery
from runstream_common.service.failpoints import passage
from runstream_ingestor.validation import InvalidBatchError
from runstream_ingestor.writer.decode import DecodedBatch, decode
from runstream_ingestor.writer.flush import describe_error
from runstream_ingestor.writer.instruments import WriterInstruments
from runstream_ingestor.writer.limits import FlushLimits
from runstream_ingestor.writer.replacement_tracker import ReplacementTracker


@dataclass(frozen=True, slots=True)
class InvalidDelivery:
    """A batch that cannot be decoded, and the reason."""

    delivery: Delivery
    reason: str
    detail: str


@dataclass(slots=True)
class GatheredBatches:
    """The deliveries of one flush, in order, and what decoding made of them."""

    deliveries: list[Delivery | PoisonDelivery]
    decoded: list[DecodedBatch]
    invalid: list[InvalidDelivery]
    poison: list[PoisonDelivery]
    points: int = 0
    bytes: int = 0

    @classmethod
    def empty(cls) -> GatheredBatches:
        return cls([], [], [], [])


class Gatherer:
    """Poll the bus, and decode in a thread what comes."""

    def __init__(
        self,
        consumer: Consumer,
        limits: FlushLimits,
        instruments: WriterInstruments,
        replacements: ReplacementTracker,
        must_stop: Callable[[], bool],
    ) -> None:
        """Make a gatherer. It returns early when `must_stop()` is true."""
        self._consumer = consumer
        self._limits = limits
        self._instruments = instruments
        self._replacements = replacements
        self._must_stop = must_stop
        self._early: list[Delivery | PoisonDelivery] = []

    async def poll_early(self) -> None:
        """Poll without waiting, and keep what comes for the next flush.

        Polling keeps the membership of the consumer's group alive while nothing is gathered.
        """
        self._early += await self._consumer.poll(0.0)

    async def gather(self, patient: bool) -> GatheredBatches:
        """Return what has arrived by the time a flush is full or old; empty when nothing came for a while.

        With `patient` no insert can begin now anyway, so that waiting for more costs nothing.
        """
        gathered = GatheredBatches.empty()
        deadline = time.monotonic() + self._limits.max_age_s
        while not self._must_stop():
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

    async def top_up(self, gathered: GatheredBatches) -> None:
        """Add what has arrived while these batches waited for their turn: else it would wait for them, too."""
        while not (self._must_stop() or self._is_full(gathered)):
            deliveries: Sequence[Delivery | PoisonDelivery] = self._early
            self._early = []
            if not deliveries:
                with contextlib.suppress(BusClosedError):  # what was gathered is stored all the same
                    deliveries = await self._consumer.poll(0.0)
            if not deliveries:
                return
            await self._take(gathered, deliveries)

    async def _take(self, gathered: GatheredBatches, deliveries: Sequence[Delivery | PoisonDelivery]) -> None:
        passage("writer.after_read")
        await asyncio.to_thread(self._decode_into, gathered, deliveries)
        passage("writer.after_decode")

    def _is_full(self, gathered: GatheredBatches) -> bool:
        return gathered.points >= self._limits.max_points or gathered.bytes >= self._limits.max_bytes

    def _decode_into(self, gathered: GatheredBatches, deliveries: Sequence[Delivery | PoisonDelivery]) -> None:
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
                self._replacements.mark(decoded)
            except InvalidBatchError as error:
                gathered.invalid.append(InvalidDelivery(delivery, "batch does not hold together", str(error)))
                continue
            except BaseException as error:  # noqa: BLE001  # in a thread: nothing here is meant for the writer itself
                gathered.invalid.append(InvalidDelivery(delivery, "batch cannot be decoded", describe_error(error)))
                continue
            gathered.points += decoded.batch.points
            gathered.decoded.append(decoded)
        self._instruments.decoded(time.perf_counter() - started)
