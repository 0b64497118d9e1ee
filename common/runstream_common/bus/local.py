"""`LocalBus` connects gateway and writer within one process.

The bus has no log of its own. The SDK's spool is the durable copy until the ack, and `publish` returns only when the
writer has confirmed the insert.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from runstream_common.bus.protocol import (
    BatchRefusedError,
    BusClosedError,
    BusMessage,
    Delivery,
    Horizon,
    PoisonDelivery,
    Position,
)
from runstream_common.times import now_us

_POLL_BATCHES = 64


class LocalBus:
    """A publisher and a consumer in one object, for one event loop."""

    def __init__(self, max_pending_bytes: int = 64 << 20) -> None:
        """Bound the bytes that are published and not confirmed by `max_pending_bytes`: beyond it `publish` waits."""
        self._max_pending_bytes = max_pending_bytes
        self._pending_bytes = 0
        self._room = asyncio.Condition()
        self._in_line: deque[int] = deque()
        """When the gateway received what waits for room."""
        self._waiting: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._futures: dict[int, tuple[asyncio.Future[None], int]] = {}
        self._next_offset = 0
        self._closed = False

    async def start(self) -> None:
        return None

    async def publish(self, message: BusMessage) -> None:
        """Return when the writer has stored the message.

        Raise BusClosedError when the bus closes, BatchRefusedError when the writer will never store the message.
        """
        size = len(message.value)
        self._in_line.append(message.origin.received_us)
        try:
            async with self._room:
                # A message that is larger than the whole bound goes alone.
                await self._room.wait_for(
                    lambda: (
                        self._closed or not self._pending_bytes or self._pending_bytes + size <= self._max_pending_bytes
                    )
                )
                if self._closed:
                    raise BusClosedError("the server is shutting down")
                self._pending_bytes += size
        finally:
            self._in_line.remove(message.origin.received_us)
        offset = self._next_offset
        self._next_offset += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures[offset] = (future, size)
        self._waiting.append(Delivery(message, Position("local", 0, offset)))
        self._arrived.set()
        # Shielded by being unlinked: when the publisher is cancelled, the writer still stores the message.
        await future

    async def poll(self, max_wait_s: float) -> Sequence[Delivery | PoisonDelivery]:
        """Return the messages that arrived. Raise BusClosedError when the bus is closed and empty."""
        if not self._waiting:
            if self._closed:
                raise BusClosedError("the bus is closed")
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), max_wait_s)
        count = min(len(self._waiting), _POLL_BATCHES)
        return [self._waiting.popleft() for _ in range(count)]

    async def confirm(self, deliveries: Sequence[Delivery | PoisonDelivery]) -> None:
        for delivery in deliveries:
            await self._settle(delivery.position.offset, None)

    async def refuse(self, delivery: Delivery | PoisonDelivery, reason: str, detail: str) -> None:
        """Let the publisher's `publish` raise BatchRefusedError: its client keeps the batch."""
        await self._settle(delivery.position.offset, BatchRefusedError(f"{reason}: {detail}"))

    def owns(self, delivery: Delivery | PoisonDelivery) -> bool:
        return True

    def pause(self) -> None:
        """Do nothing: `publish` bounds what is published and not polled."""

    def resume(self) -> None:
        """Do nothing: see `pause`."""

    def before_revoke(self, settle: Callable[[], Awaitable[None]]) -> None:
        """Do nothing: this bus never takes a partition away."""

    async def close(self) -> None:
        """Close the bus. Waiting publishers get BusClosedError, and their clients send again."""
        self._closed = True
        self._arrived.set()
        async with self._room:
            self._room.notify_all()
        for offset in list(self._futures):
            await self._settle(offset, BusClosedError("the server is shutting down"))
        self._waiting.clear()

    def healthy(self) -> str | None:
        return "the bus is closed" if self._closed else None

    def lag(self) -> int:
        return len(self._waiting)

    def horizons(self) -> Sequence[Horizon]:
        if self._closed:
            return []
        stored = next(iter(self._futures), self._next_offset)
        return [Horizon("local", 0, 1, 0, self._next_offset, min(self._in_line, default=now_us()), stored)]

    async def _settle(self, offset: int, error: Exception | None) -> None:
        """Answer a publisher at most once: a refused message may be confirmed afterwards."""
        future, size = self._futures.pop(offset, (None, 0))
        if future is None:
            return
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
        async with self._room:
            self._pending_bytes -= size
            self._room.notify_all()
