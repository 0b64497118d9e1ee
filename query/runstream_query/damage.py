"""Errors of the engine that mean that stored data cannot be read, and parts that it put aside."""

from __future__ import annotations

from runstream_common.clickhouse import StorageRefusedError
from runstream_query.storage import Storage

REMEDY = (
    "stop the server, take a copy of the data folder, and run `runstream doctor`; what the spools or the topic still "
    "hold can be sent again"
)


def sentence(error: StorageRefusedError) -> str:
    """What a person is told of such an error."""
    return f"stored data cannot be read (ClickHouse's code {error.code}): {REMEDY}"


async def detached(storage: Storage) -> list[str]:
    """A sentence for each part that is put aside. Raises StorageError."""
    return [
        f"part {row['name']} of table {row['table']} was put aside ({row['reason']}): its rows are in no answer"
        for row in await storage.rows("detached_parts", limit=1000)
    ]
