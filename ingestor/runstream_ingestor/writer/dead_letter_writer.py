"""Write messages that can never be stored to the dead letters, and note them for the run's completeness."""

from __future__ import annotations

from functools import partial

import structlog

from runstream_common.bus.protocol import BusError, Consumer, Delivery, PoisonDelivery, TooManyDeadLettersError
from runstream_common.clickhouse.client import StorageRefusedError
from runstream_common.times import from_us, now_us
from runstream_ingestor.writer import arrow_schemas
from runstream_ingestor.writer.flush import Flush, Inserter, InsertFailedError, store, to_insert
from runstream_ingestor.writer.instruments import WriterInstruments
from runstream_ingestor.writer.ledger_rows import reject_row
from runstream_ingestor.writer.retry import RetryMonitor, retry_until_done

LOG = structlog.get_logger()


class DeadLetterWriter:
    """Keep a message as a dead letter, and note it in `rejects`, from which its run's completeness is computed."""

    def __init__(
        self, consumer: Consumer, insert: Inserter, instruments: WriterInstruments, retries: RetryMonitor
    ) -> None:
        self._consumer = consumer
        self._insert = insert
        self._instruments = instruments
        self._retries = retries

    async def write(self, delivery: Delivery | PoisonDelivery, reason: str, detail: str) -> None:
        """Write a dead letter. Raise AbandonedError or TooManyDeadLettersError."""
        self._instruments.dead_letter(reason)
        LOG.error(
            "a message can never be stored: it becomes a dead letter",
            reason=reason,
            detail=detail,
            position=delivery.position,
        )
        refuse = partial(self._consumer.refuse, delivery, reason, detail)
        await retry_until_done(refuse, self._retries.of([delivery]), _may_pass)
        if isinstance(delivery, Delivery):
            await self._note_reject(delivery, reason, detail)

    async def _note_reject(self, delivery: Delivery, reason: str, detail: str) -> None:
        row = reject_row(delivery.message.origin, reason, 0, detail, from_us(now_us()))
        try:
            flush = Flush([], [to_insert("rejects", arrow_schemas.to_table("rejects", [row]))])
            await store(flush, self._insert, self._retries.of([delivery]))
        except (StorageRefusedError, InsertFailedError, ValueError) as error:
            LOG.error("a dead letter could not be noted in `rejects`", error=str(error), position=delivery.position)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, BusError) and not isinstance(error, TooManyDeadLettersError)
