"""The writer as a service that starts and stops: alone, or beside a gateway in the same process."""

from __future__ import annotations

import asyncio
import time

import structlog

from runstream_common.bus.protocol import Consumer
from runstream_common.clickhouse.client import ArrowInserter, StorageUnavailableError, connect
from runstream_common.clickhouse.interface import ClickHouseClient
from runstream_common.clickhouse.schema.migrator import check_schema
from runstream_common.service.metrics import Metrics
from runstream_ingestor.writer.config import WriterConfig
from runstream_ingestor.writer.deletion_filter import TombstoneFilter
from runstream_ingestor.writer.instruments import WriterInstruments
from runstream_ingestor.writer.listening_recorder import ListeningRecorder
from runstream_ingestor.writer.loop import Writer
from runstream_ingestor.writer.replacement_tracker import ClickHouseReplacementTracker

LOG = structlog.get_logger()
STALLED_S = 60.0
"""A loop without progress for this long is unhealthy. While ClickHouse is down, each retry counts as progress."""


class WriterService:
    def __init__(self, config: WriterConfig, consumer: Consumer, metrics: Metrics) -> None:
        self._config = config
        self._consumer = consumer
        self._metrics = metrics
        self._client: ClickHouseClient | None = None
        self._writer: Writer | None = None
        self._task: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Wait for ClickHouse, check its schema, and begin. Raise SchemaError or StorageRefusedError."""
        client = self._client = await connect_patiently(self._config)
        await check_schema(client)
        instruments = WriterInstruments(self._metrics)
        deletions = TombstoneFilter(client, instruments)
        await deletions.start()
        insert = ArrowInserter(client, self._config.tokens)
        replacements = ClickHouseReplacementTracker(client)
        self._writer = Writer(self._consumer, insert, self._config.limits, instruments, deletions, replacements)
        self._task = asyncio.create_task(self._writer.run(), name="writer")
        self._listening = asyncio.create_task(ListeningRecorder(client, self._consumer).run(), name="listening")

    async def ended(self) -> None:
        """Return when the writer's loop ends, or raise what it raised."""
        assert self._task is not None
        await asyncio.shield(self._task)

    async def close(self, drain_s: float) -> None:
        """Store what was gathered, within `drain_s` seconds."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._writer is not None and self._task is not None:
            self._writer.stop()
            _, pending = await asyncio.wait([self._task], timeout=drain_s)
            for task in pending:
                LOG.warning("the writer did not finish in time: its unconfirmed batches will be delivered again")
                task.cancel()
        if self._client is not None:
            await self._client.close()

    def alive(self) -> str | None:
        if self._task is None or self._writer is None:
            return "not started"
        if self._task.done():
            return "the writer's loop has ended"
        silent_s = time.monotonic() - self._writer.last_progress
        return f"the writer's loop has made no progress for {silent_s:.0f} s" if silent_s > STALLED_S else None

    def ready(self) -> str | None:
        return self._consumer.healthy()


async def connect_patiently(config: WriterConfig, patience_s: float = 60.0) -> ClickHouseClient:
    """Return a client as soon as ClickHouse answers. Raise StorageUnavailableError after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            client: ClickHouseClient = await connect(config.clickhouse)
            return client
        except StorageUnavailableError as error:
            if time.monotonic() >= deadline:
                raise
            LOG.info("waiting for ClickHouse", url=config.clickhouse.url, reason=str(error))
            await asyncio.sleep(0.5)
