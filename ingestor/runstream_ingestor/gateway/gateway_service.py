"""The gateway as a service that starts and stops: alone, or beside a writer in the same process."""

from __future__ import annotations

import asyncio

from runstream_common.bus.protocol import Publisher
from runstream_common.objects import MediaStore
from runstream_common.service.metrics import Metrics
from runstream_control.authenticator import CachedAuthenticator
from runstream_control.control_store import ControlStore
from runstream_control.sweeps.sweep_store import SweepStore
from runstream_ingestor.gateway.authentication import AuthenticationInterceptor
from runstream_ingestor.gateway.config import GatewayConfig
from runstream_ingestor.gateway.ingest_servicer import IngestServicer
from runstream_ingestor.gateway.instruments import GatewayInstruments
from runstream_ingestor.gateway.media_uploads import MediaUploads
from runstream_ingestor.gateway.server import GatewayServer
from runstream_ingestor.gateway.stop_notifier import StopNotifier


class GatewayService:
    def __init__(self, config: GatewayConfig, publisher: Publisher, metrics: Metrics) -> None:
        self._publisher = publisher
        self._store = ControlStore.open(config.control_url)
        instruments = GatewayInstruments(metrics)
        self._stops = StopNotifier(SweepStore.beside(self._store), instruments)
        self._stop_task: asyncio.Task[None] | None = None
        authenticator = CachedAuthenticator(self._store)
        service = IngestServicer(
            self._store,
            authenticator,
            publisher,
            config.stream,
            instruments,
            config.max_streams,
            MediaUploads(self._store, MediaStore(config.media), config.max_media_bytes, instruments),
            self._stops,
        )
        self._server = GatewayServer(config, service, AuthenticationInterceptor(authenticator, instruments))

    async def start(self) -> int:
        """Check the control database, serve, and return the port. Raise ControlError or OSError."""
        await self._store.check_schema()
        await self._server.start()
        self._stop_task = asyncio.create_task(self._stops.run(), name="stops")
        return self._server.port

    async def close(self) -> None:
        if self._stop_task is not None:
            self._stop_task.cancel()
            await asyncio.gather(self._stop_task, return_exceptions=True)
        await self._server.close()
        await self._store.close()

    def ready(self) -> str | None:
        return self._publisher.healthy()
