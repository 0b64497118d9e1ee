"""Store batches again that were stored before: existing rows do not change, missing rows come back."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from runstream_common.bus.protocol import Delivery
from runstream_common.clickhouse.client import ArrowInserter
from runstream_common.clickhouse.interface import ClickHouseClient
from runstream_common.service.metrics import Metrics
from runstream_ingestor.validation import InvalidBatchError
from runstream_ingestor.writer.decode import decode
from runstream_ingestor.writer.deletion_filter import TombstoneFilter
from runstream_ingestor.writer.flush import prepare, store
from runstream_ingestor.writer.instruments import WriterInstruments
from runstream_ingestor.writer.replacement_tracker import ClickHouseReplacementTracker

LOG = structlog.get_logger()


class BatchReplayer:
    """Take the writer's own steps without a bus: nothing is confirmed, and a failed insert raises in the caller."""

    def __init__(self, client: ClickHouseClient) -> None:
        self._deletions = TombstoneFilter(client, WriterInstruments(Metrics(["writer"])))
        # The engine may know the insert's token from the first time, and would leave it out.
        self._insert = ArrowInserter(client, tokens=False)
        self._replacements = ClickHouseReplacementTracker(client)

    async def start(self) -> None:
        """Read the tombstones. Raise StorageError."""
        await self._deletions.start()

    async def store(self, deliveries: Sequence[Delivery]) -> int:
        """Store the batches, and return how many were stored.

        Batches that can never be stored, or are deleted, are left out. Raise StorageError.
        """
        decoded = []
        for delivery in deliveries:
            try:
                decoded.append(decode(delivery))
            except InvalidBatchError as error:  # the writer made it a dead letter
                LOG.warning("a batch is skipped, because it can never be stored", reason=str(error))
        living = await self._deletions.without_deleted(decoded, _give_up)
        replaced = await self._replacements.notes(living, _give_up)
        await store(prepare(living, replaced), self._insert, _give_up)
        await self._deletions.purge_late(living, _give_up)
        return len(living)


async def _give_up(error: Exception) -> None:
    raise error
