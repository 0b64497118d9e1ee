"""Read the writers' marks, which tell since when a living run must have been heard from."""

from __future__ import annotations

import asyncio
import time

import structlog

from runstream_common.clickhouse.client import StorageError
from runstream_common.listening import Mark, heard_since
from runstream_common.service.logging import limited_warning
from runstream_common.times import now_us
from runstream_query.base.caller import as_the_server
from runstream_query.base.storage import ONE_THREAD, Storage

LOG = structlog.get_logger()
_REFRESH_S = 2.0
"""From this age on, the marks are read again beside the requests. Writers store their marks every five seconds."""
_OLDEST_S = 10.0
"""From this age on, a request waits until the marks are read."""


class WriterMarks:
    def __init__(self, storage: Storage, crash_after_us: int) -> None:
        self._storage = storage
        self._crash_after_us = crash_after_us
        self._marks: list[Mark] = []
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def heard_since(self) -> int:
        """Return the moment, in microseconds since 1970, since which a living run must have been heard from.

        Never raises. Where the marks cannot be read, the last ones count; then no further run counts as crashed.
        """
        age_s = time.monotonic() - self._read_at
        if age_s >= _REFRESH_S:
            if self._reading is None or self._reading.done():
                with as_the_server():
                    self._reading = asyncio.create_task(self._refresh())
            if age_s >= _OLDEST_S:
                await asyncio.shield(self._reading)  # others may wait for it, too
        return heard_since(self._marks, self._crash_after_us, now_us())

    async def _refresh(self) -> None:
        try:
            rows = await self._storage.rows("listening", settings=ONE_THREAD)
        except StorageError as error:
            limited_warning(LOG, "the writers' marks cannot be read", 60.0, error=str(error))
        else:
            self._marks = [
                Mark(
                    row["bus"],
                    row["part"],
                    row["parts"],
                    row["until_us"],
                    tuple(zip(row["began_us"], row["ended_us"], strict=True)),
                )
                for row in rows
            ]
        self._read_at = time.monotonic()
