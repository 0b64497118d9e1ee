"""Keep deleted rows deleted when batches are delivered again: see `runstream_common.clickhouse.tombstones`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from runstream_common.clickhouse.interface import ClickHouseClient
from runstream_common.clickhouse.tombstones import Tombstone, Tombstones, purge
from runstream_common.identity import full_project
from runstream_ingestor.writer.decode import DecodedBatch, PointBlock
from runstream_ingestor.writer.instruments import WriterInstruments
from runstream_ingestor.writer.retry import OnRetry, retry_until_done

LOG = structlog.get_logger()


class DeletionFilter(Protocol):
    async def without_deleted(self, batches: Sequence[DecodedBatch], on_retry: OnRetry) -> list[DecodedBatch]:
        """Return the batches without what is deleted."""
        ...

    async def purge_late(self, batches: Sequence[DecodedBatch], on_retry: OnRetry) -> None:
        """Remove what was deleted while `batches` were stored.

        Call this when the batches are stored, and before they are confirmed.
        """
        ...


class TombstoneFilter:
    """Keep deleted rows deleted, by the tombstones in ClickHouse."""

    def __init__(self, client: ClickHouseClient, instruments: WriterInstruments) -> None:
        self._client = client
        self._instruments = instruments
        self._tombstones = Tombstones(client)
        self._purged: set[Tombstone] = set()
        """The tombstones that this process purged.

        An earlier writer may have stored a dead batch and died before its check.
        """

    async def start(self) -> None:
        """Read the tombstones. Raise StorageUnavailableError or StorageRefusedError."""
        await self._tombstones.refresh()

    async def without_deleted(self, batches: Sequence[DecodedBatch], on_retry: OnRetry) -> list[DecodedBatch]:
        living: list[DecodedBatch] = []
        met: set[Tombstone] = set()
        for decoded in batches:
            dead, metrics = self._find(decoded)
            if dead is not None:
                met.add(dead)
                self._instruments.deleted()
                continue
            if metrics:
                met |= _drop_metrics(decoded, metrics)
            living.append(decoded)
        if met - self._purged:
            await self._purge(met - self._purged, on_retry)
        return living

    async def purge_late(self, batches: Sequence[DecodedBatch], on_retry: OnRetry) -> None:
        await retry_until_done(self._tombstones.refresh, on_retry)
        late: set[Tombstone] = set()
        for decoded in batches:
            dead, metrics = self._find(decoded)
            if dead is not None:
                late.add(dead)
            late |= _drop_metrics(decoded, metrics)
        if late:
            await self._purge(late, on_retry)

    def _find(self, decoded: DecodedBatch) -> tuple[Tombstone | None, dict[str, Tombstone]]:
        origin = decoded.delivery.message.origin
        project = full_project(origin.team, origin.project)
        return (
            self._tombstones.dead_run(project, origin.run, origin.epoch),
            self._tombstones.dead_metrics(project, origin.run, origin.epoch),
        )

    async def _purge(self, stones: set[Tombstone], on_retry: OnRetry) -> None:
        LOG.info("deleted runs or metrics were delivered again, and are removed", count=len(stones))
        # Before the commit it is enough to note the deletion durably: waiting for merges would delay living rows.
        await retry_until_done(lambda: purge(self._client, stones, wait=False), on_retry)
        self._purged |= stones


def _drop_metrics(decoded: DecodedBatch, dead: dict[str, Tombstone]) -> set[Tombstone]:
    """Take the dead metrics out of a batch, and return their tombstones."""
    met: set[Tombstone] = set()
    if not dead:
        return met
    blocks: list[PointBlock] = []
    for block in decoded.blocks:
        living = [index for index, key in enumerate(block.keys) if key not in dead]
        met |= {dead[key] for key in block.keys if key in dead}
        if len(living) == len(block.keys):
            blocks.append(block)
        elif living:
            keys = tuple(block.keys[index] for index in living)
            blocks.append(replace(block, keys=keys, values=block.values[:, living]))
    decoded.blocks = blocks
    for record in list(decoded.batch.records):
        kind = record.WhichOneof("kind")
        if kind in ("text", "histogram", "media", "table") and (key := getattr(record, kind).key) in dead:
            met.add(dead[key])
            decoded.batch.records.remove(record)
    return met
