"""Send one stream to the gateway: numbered batches until all are acked, also through broken connections."""

from __future__ import annotations

import asyncio
import contextlib
import time

import grpc

from runstream.archive.layout import ArchiveError
from runstream.sender.link import Link, Links
from runstream.spool.folder import StreamMeta

_MAX_IN_FLIGHT = 8
"""The most batches (of half a MiB) of one stream that wait for their ack: as many as the gateway takes."""
_MAX_IN_FLIGHT_OF_ALL = 128
"""The most batches of all streams of a run: it bounds the memory where the run had many ranks."""
_PATIENCE_S = 120.0
"""How long a sender tries a gateway that cannot be reached, or takes nothing."""
_RETRY_MIN_S, _RETRY_MAX_S = 0.2, 5.0
_BROKEN = (grpc.RpcError, ConnectionError, OSError, TimeoutError)


class StreamSender:
    """Sends batches in order. A batch has the same bytes each time it is sent."""

    def __init__(self, links: Links, meta: StreamMeta, api_key: str, siblings: int = 1) -> None:
        """Make a sender that is not connected yet.

        `siblings`: how many streams are sent side by side, with this one.
        """
        self._links = links
        self._most = max(min(_MAX_IN_FLIGHT, _MAX_IN_FLIGHT_OF_ALL // siblings), 1)
        self._meta = meta
        self._key = api_key
        self._link: Link | None = None
        self._reading: asyncio.Task[None] | None = None
        self._number = 0
        self._waiting: dict[int, bytes] = {}
        self._news = asyncio.Event()
        self._broken = True
        self._refused = ""
        self._pause_until = 0.0

    async def open(self) -> None:
        """Bind the stream to its epoch. Raises RunDeletedError, PermanentError, ArchiveError."""
        deadline, delay = time.monotonic() + _PATIENCE_S, _RETRY_MIN_S
        while True:
            try:
                await self._connect()
                return
            except _BROKEN as error:
                if time.monotonic() > deadline:
                    raise ArchiveError(f"the gateway {self._meta.gateway} does not answer: {error}") from error
                await asyncio.sleep(delay)
                delay = min(delay * 2, _RETRY_MAX_S)

    async def send(self, batch: bytes) -> None:
        """Send a batch, and return when it is on its way.

        Raises as `open` does, and ArchiveError when the server rejects a batch.
        """
        self._number += 1
        self._waiting[self._number] = batch
        if self._broken:
            await self.open()
        else:
            await asyncio.sleep(max(self._pause_until - time.monotonic(), 0))
            await self._put(self._number, batch)
        await self._until(self._most)

    async def finish(self) -> None:
        """Wait until every batch is stored for good, then close. Raises as `send` does."""
        await self._until(0)
        await self.close()

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._link is not None:
            await self._link.close()
        self._link = self._reading = None

    async def _until(self, most: int) -> None:
        """Wait until at most `most` batches wait for their ack."""
        deadline = time.monotonic() + _PATIENCE_S
        before = len(self._waiting)
        while len(self._waiting) > most:
            if self._broken:
                await self.open()
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._news.wait()
            if len(self._waiting) != before:
                before, deadline = len(self._waiting), time.monotonic() + _PATIENCE_S
            elif time.monotonic() > deadline:
                raise ArchiveError(f"the gateway {self._meta.gateway} took nothing for {_PATIENCE_S:g} s")
        if self._refused:
            raise ArchiveError(f"the server refused a batch: {self._refused}")

    async def _connect(self) -> None:
        await self.close()
        self._link = await self._links.open(self._meta, self._key)
        self._broken = False
        self._reading = asyncio.create_task(self._read(self._link))
        for number, batch in list(self._waiting.items()):
            await self._put(number, batch)

    async def _put(self, number: int, batch: bytes) -> None:
        assert self._link is not None
        try:
            await self._link.send(number, batch)
        except _BROKEN:
            self._broken = True

    async def _read(self, link: Link) -> None:
        try:
            async for response in link.responses():
                match response.WhichOneof("message"):
                    case "ack":
                        self._waiting.pop(response.ack.number, None)
                    case "reject":
                        self._waiting.pop(response.reject.number, None)
                        self._refused = self._refused or response.reject.detail
                    case "control" if response.control.HasField("slow_down"):
                        self._pause_until = time.monotonic() + response.control.slow_down.pause_ms / 1000
                self._news.set()
        except Exception:  # noqa: BLE001, S110  # the next connection raises the error again, or is free of it
            pass
        finally:
            self._broken = True
            self._news.set()
