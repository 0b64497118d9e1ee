"""Read the writers' marks, which tell since when a living run must have been heard from."""

from __future__ import annotations

import asyncio
import time

import structlog

from runstream_common.clickhouse.client import StorageError
from runstream_common.listening import Mark, heard_since
from runstream_common.service.logging import limited_warning
from runstream_common.times import now_us
from runstream_query.base.storage import ONE_THREAD, Storage

LOG = structlog.get_logger()
_REFRESH_S = 2.0
"""Writers store their marks every five seconds."""


class WriterMarks:
    def __init__(self, storage: Storage, crash_after_us: int) -> None:
        self._storage = storage
        self._crash_after_us = crash_after_us
        self._marks: list[Mark] = []
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def heard_since(self) -> int:
        """Return the moment, in microseconds since 1970, since which a living run must have been heard from.

        Never raises. Where the marks cannot be read, the last ones count; then no further run counts as crashed.
        """
        if time.monotonic() - self._read_at >= _REFRESH_S:
            async with self._reading:
                if time.monotonic() - self._read_at >= _REFRESH_S:
                    await self._refresh()
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
