"""Limits of an HTTP port on clients that have not sent a request yet: a few seconds, and few connections."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_S = 10.0
"""The time in which a request's headers must come.

It counts from the first byte, or from the opening of the connection.
"""
MAX_WAITING = 512
"""The most connections whose headers have not come yet.

One more connection closes the connection that has waited longest. Each takes a descriptor, of which a process has few;
an honest client waits for milliseconds.
"""


def edge_protocol() -> Any:
    """Return uvicorn's HTTP protocol with these limits, for one port."""
    return partial(EdgeProtocol, waiting={})


class EdgeProtocol(HttpToolsProtocol):
    """A protocol with these limits. Uvicorn itself guards connections between requests, until the next byte only."""

    def __init__(self, *arguments: Any, waiting: dict[EdgeProtocol, None], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting = waiting
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._asks_nothing and self._deadline is None and not self.transport.is_closing():
            self._wait()

    def on_headers_complete(self) -> None:
        self._wait_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    @property
    def _asks_nothing(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEADERS_S, self._cut_off)
        self._waiting[self] = None
        if len(self._waiting) > MAX_WAITING:
            next(iter(self._waiting))._cut_off()

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._waiting.pop(self, None)

    def _cut_off(self) -> None:
        self._wait_no_more()
        if self._asks_nothing:
            self.transport.abort()
