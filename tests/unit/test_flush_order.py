"""A flush stores points first and the ledger last, and the documents between them side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from runstream_common.clickhouse.client import StorageRefusedError, StorageUnavailableError
from runstream_ingestor.writer import arrow_schemas
from runstream_ingestor.writer.flush import Flush, Insert, store

TABLES = ("replaced_points", "points", "series", *arrow_schemas.ORDER)
DOCUMENTS = [table for table in arrow_schemas.ORDER if table != "ledger"]


class Engine:
    """Takes a moment for each insert, and refuses or fails some."""

    def __init__(self, **errors: Exception) -> None:
        self.errors = errors
        self.began: list[str] = []
        self.stored: list[str] = []
        self.beside: dict[str, set[str]] = {}
        self.running: set[str] = set()
        self.at_once = 0

    async def __call__(self, table: str, columns: Sequence[str], data: bytes, token: str) -> None:
        self.began.append(table)
        self.running.add(table)
        self.at_once = max(self.at_once, len(self.running))
        for other in self.running:
            self.beside.setdefault(other, set()).update(self.running)
        try:
            await asyncio.sleep(0.002)
            if error := self.errors.pop(table, None):
                raise error
            self.stored.append(table)
        finally:
            self.running.discard(table)


def flush() -> Flush:
    return Flush([], [Insert(table, (), b"", 1) for table in TABLES])


async def no_retry(error: Exception) -> None:
    raise AssertionError(error)


async def test_points_come_first_and_the_ledger_last() -> None:
    engine = Engine()
    await store(flush(), engine, no_retry)
    assert engine.stored[:3] == ["replaced_points", "points", "series"] and engine.stored[-1] == "ledger"
    assert sorted(engine.stored) == sorted(TABLES)
    for table in ("replaced_points", "points", "series", "ledger"):
        assert engine.beside[table] == {table}
    assert engine.at_once == 3 < len(DOCUMENTS), "a flush leaves threads of the engine to those who ask"


async def test_a_refused_document_leaves_no_insert_under_way_and_no_ledger() -> None:
    engine = Engine(**{DOCUMENTS[0]: StorageRefusedError("bad", 27)})
    with pytest.raises(StorageRefusedError, match="bad"):
        await store(flush(), engine, no_retry)
    assert not engine.running and "ledger" not in engine.began
    assert set(engine.began) == set(TABLES) - {"ledger"}


async def test_only_the_insert_that_failed_is_repeated() -> None:
    retries = []

    async def note(error: Exception) -> None:
        retries.append(error)

    engine = Engine(**{DOCUMENTS[1]: StorageUnavailableError("gone")})
    await store(flush(), engine, note)
    assert len(retries) == 1 and sorted(engine.began) == sorted([*TABLES, DOCUMENTS[1]])
    assert engine.stored[-1] == "ledger"


async def test_a_flush_that_is_cancelled_leaves_nothing_under_way() -> None:
    engine = Engine()
    task = asyncio.create_task(store(flush(), engine, no_retry))
    while DOCUMENTS[0] not in engine.running:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not engine.running and "ledger" not in engine.began
