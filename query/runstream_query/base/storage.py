"""Runs the SQL files with typed parameters, a deadline and a memory limit."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from runstream_common.clickhouse.client import StorageRefusedError, classify
from runstream_common.clickhouse.interface import ClickHouseClient, Settings
from runstream_common.sql_files import read_sql
from runstream_query.base.caller import CALLER
from runstream_query.base.tail import Tail

_PACKAGE = Path(__file__).parents[1]
PAGES_PRIORITY, PEOPLES_PRIORITY = 1, 10
"""Priorities of queries of the page, and of users' SQL and exports.

ClickHouse lets a query wait while one with a smaller number runs. The embedded engine has separate threads for queries
that wait.
"""
_SETTINGS = {
    "max_execution_time": 30,
    "max_memory_usage": 4 << 30,
    # All rows of a run are in one partition, by its creation month, so versions of a row never meet across partitions.
    "do_not_merge_across_partitions_select_final": 1,
    "max_result_rows": 20_000_000,
    # In the SQL files a name means the column first, so `max(time) AS time` takes the maximum of the column.
    "prefer_column_name_to_alias": 1,
    # The engine then writes text as the writer stores it, so that both can be compared.
    "output_format_json_escape_forward_slashes": 0,
}
ONE_THREAD = {"max_threads": 1}
"""Settings for queries that read little: a second thread costs more than it saves there."""
_CHANGES = {"async_insert": 0, "insert_deduplicate": 0, "lightweight_deletes_sync": 2, "mutations_sync": 2}


Turns = Callable[[str, str], contextlib.AbstractAsyncContextManager[None]]
"""Takes a user and a team; the context is entered when it is their turn."""


@cache
def sql_files() -> dict[str, Path]:
    """Return the SQL files by name. Each lies in the folder `sql/` beside its reader; no name occurs twice."""
    found = sorted(_PACKAGE.rglob("sql/*.sql"))
    files = {path.stem: path for path in found}
    assert len(files) == len(found), "two SQL files have one name"
    return files


def sql(name: str) -> str:
    """Return the statement of the SQL file of this name, without its comments."""
    return read_sql(sql_files()[name].parent, name)


def _changed(name: str, change: Mapping[str, str] | None) -> str:
    text = sql(name)
    for old, new in (change or {}).items():
        text = text.replace(old, new)
    return text


class Storage:
    """Sends queries to ClickHouse. All methods raise StorageUnavailableError or StorageRefusedError."""

    def __init__(self, client: ClickHouseClient, priority: int = PAGES_PRIORITY, turns: Turns | None = None) -> None:
        """Create the storage.

        `priority`: 0 for work that nobody waits for: it waits for no query, and no query waits for it. `turns`: how the
        queries of users wait for each other (`Places.of`); None: no query waits.
        """
        self._client = client
        self._turns = turns
        self._settings = {**_SETTINGS, "priority": priority}

    async def rows(self, name: str, *, settings: Settings | None = None, **parameters: object) -> list[dict[str, Any]]:
        """Return the rows of a small result as dicts. Parameters are bound on the server, as `{name:Type}`.

        `settings` override those that every query has.
        """
        return await self.ask(sql(name), settings=settings, **parameters)

    async def ask(
        self, statement: str, *, settings: Settings | None = None, **parameters: object
    ) -> list[dict[str, Any]]:
        """Return the rows of a statement that is made of SQL files and constant text, with no value pasted in."""
        try:
            async with self._turn():
                result = await self._client.query(
                    statement, parameters=parameters, settings={**self._settings, **(settings or {})}
                )
        except Exception as error:
            raise self._classified(error) from error
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

    async def columns(self, name: str, *, settings: Settings | None = None, **parameters: object) -> dict[str, Any]:
        """Return a large result as one numpy array a column; strings are the values of Arrow dictionaries."""
        table = await self.table(name, settings=settings, change=None, **parameters)
        return {column: table.column(column).to_numpy() for column in table.column_names}

    async def table(
        self,
        name: str,
        *,
        settings: Settings | None = None,
        change: Mapping[str, str] | None = None,
        **parameters: object,
    ) -> pa.Table:
        """Return a large result as an Arrow table. `change`: constant texts of the file and their replacements."""
        try:
            async with self._turn():
                return await self._client.query_arrow(
                    _changed(name, change),
                    parameters=parameters,
                    settings={**self._settings, **(settings or {})},
                )
        except Exception as error:
            raise self._classified(error) from error

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Insert rows into a table. Every reader sees them when this returns."""
        settings = {"async_insert": 0, "insert_deduplicate": 0}
        try:
            await self._client.insert(table, rows, column_names=list(columns), settings=settings)
        except Exception as error:
            raise self._classified(error) from error

    async def execute(self, name: str, *, settings: Settings | None = None, **parameters: object) -> None:
        """Execute a statement without a result. What it deletes is gone for every reader when this returns."""
        try:
            await self._client.command(
                sql(name), parameters=parameters, settings={**self._settings, **_CHANGES, **(settings or {})}
            )
        except Exception as error:
            raise self._classified(error) from error

    async def stream(
        self,
        name: str,
        file_format: str,
        settings: Settings,
        change: Mapping[str, str] | None = None,
        **parameters: object,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the result in one of the engine's file formats, as it arrives; closing the iterator ends the query.

        `settings` override the usual ones. `change`: constant texts of the file and their replacements.
        """
        tail = Tail()
        try:
            stream = await self._client.raw_stream(
                _changed(name, change),
                parameters=parameters,
                settings={**_SETTINGS, "priority": PEOPLES_PRIORITY, **settings},
                fmt=file_format,
            )
            async with stream:
                async for piece in stream:
                    if whole := tail.pass_on(piece):
                        yield whole
        except Exception as error:
            tail.end()  # the engine's own error replaces that of a broken connection
            raise self._classified(error) from error
        if rest := tail.end():
            yield rest

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Hold one turn of the caller. A query asks for no second turn inside, so every wait ends."""
        caller = CALLER.get()
        if caller is None or self._turns is None:
            yield
            return
        async with self._turns(caller.user, caller.team):
            yield

    async def ping(self) -> None:
        try:
            await self._client.query("SELECT 1")
        except Exception as error:
            raise self._classified(error) from error

    @staticmethod
    def _classified(error: Exception) -> Exception:
        found = classify(error)
        code = getattr(error, "code", None)
        # A query that hit a limit would hit it again, so it must not be repeated.
        return StorageRefusedError(str(found), code) if code in (159, 241) else found
