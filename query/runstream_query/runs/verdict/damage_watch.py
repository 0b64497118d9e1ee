"""Reports parts that the engine detached because of damage."""

from __future__ import annotations

import asyncio

import structlog

from runstream_common.clickhouse.client import StorageError
from runstream_common.service.metrics import Metrics
from runstream_query.base.damage import REMEDY
from runstream_query.base.storage import Storage

LOG = structlog.get_logger()
_CHECK_EVERY_S = 60.0
"""The engine detaches parts when it starts or reads them. No request waits for this check."""


async def detached(storage: Storage) -> list[str]:
    """Return one sentence for each detached part. Raises StorageError."""
    return [
        f"part {row['name']} of table {row['table']} is detached ({row['reason']}): no query returns its rows"
        for row in await storage.rows("detached_parts", limit=1000)
    ]


class DamageWatch:
    """Reports in the log and in a gauge how many parts the engine has detached: at start, and when that changes."""

    def __init__(self, storage: Storage, metrics: Metrics) -> None:
        self._storage = storage
        self._gauge = metrics.gauge("runstream_query_parts_put_aside")
        self._known: list[str] = []

    async def run(self) -> None:
        while True:
            try:
                await self.check()
            except StorageError as error:
                LOG.debug("the detached parts could not be listed", reason=str(error))
            await asyncio.sleep(_CHECK_EVERY_S)

    async def check(self) -> None:
        """Check for detached parts once. Raises StorageError."""
        found = await detached(self._storage)
        self._gauge.set(len(found))
        new = sorted(set(found) - set(self._known))
        self._known = found
        if new:
            LOG.error("stored data is damaged", parts=new[:5], count=len(found), remedy=REMEDY)
