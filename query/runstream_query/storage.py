"""Runs the SQL files, with typed parameters, a deadline and a memory cap."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from runstream_common.clickhouse import StorageRefusedError, classify
from runstream_query.asker import ASKER
from runstream_query.tail import Tail

FOLDER = Path(__file__).parent / "sql"
_COMMENT = re.compile(r"^\s*--[^\n]*\n", re.MULTILINE)
PAGES_PRIORITY, PEOPLES_PRIORITY = 1, 10
"""Of what the page asks; of people's SQL and of exports. ClickHouse lets a query wait while one with a smaller number
runs; the embedded engine has threads of their own for those that wait."""
_SETTINGS = {
    "max_execution_time": 30,
    "max_memory_usage": 4 << 30,
    # A run lives in one partition, its creation month, so versions of a row never meet across partitions.
    "do_not_merge_across_partitions_select_final": 1,
    "max_result_rows": 20_000_000,
    # In the SQL files a name means the column first, so that max(time) AS time reads as it looks.
    "prefer_column_name_to_alias": 1,
    # Text as the writer stores it, so that it can be compared as it is.
    "output_format_json_escape_forward_slashes": 0,
}
ONE_THREAD = {"max_threads": 1}
"""A second one costs more than it saves where little is read."""
_CHANGES = {"async_insert": 0, "insert_deduplicate": 0, "lightweight_deletes_sync": 2, "mutations_sync": 2}


Turns = Callable[[str, str], contextlib.AbstractAsyncContextManager[None]]
"""Of a user and a team: entered when it is their turn."""


@cache
def sql(name: str) -> str:
    """Without its comments: driver and engine read the text again for each question."""
    return _COMMENT.sub("", (FOLDER / f"{name}.sql").read_text(encoding="utf-8"))


def _changed(name: str, change: Mapping[str, str] | None) -> str:
    text = sql(name)
    for old, new in (change or {}).items():
        text = text.replace(old, new)
    return text


class Storage:
    """Questions to ClickHouse. All raise StorageUnavailableError or StorageRefusedError."""

    def __init__(self, client: Any, priority: int = PAGES_PRIORITY, turns: Turns | None = None) -> None:
        """`priority`: 0 for work that nobody waits for: it gives way to nobody, and nobody to it. `turns`: how the
        queries of users wait for each other (`Places.of`); None: none waits."""
        self._client = client
        self._turns = turns
        self._settings = {**_SETTINGS, "priority": priority}

    async def rows(
        self, name: str, *, settings: Mapping[str, Any] | None = None, **parameters: Any
    ) -> list[dict[str, Any]]:
        """For small answers: a dict a row. `settings` go before those that every question has."""
        return await self.ask(sql(name), settings=settings, **parameters)

    async def ask(
        self, statement: str, *, settings: Mapping[str, Any] | None = None, **parameters: Any
    ) -> list[dict[str, Any]]:
        """`rows` of a statement that is made of files and constant text: no value is pasted into it."""
        try:
            async with self._turn():
                result = await self._client.query(
                    statement, parameters=_quoted(parameters), settings={**self._settings, **(settings or {})}
                )
        except Exception as error:
            raise self._classified(error) from error
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

    async def columns(
        self, name: str, *, settings: Mapping[str, Any] | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """For large answers: a numpy array a column, strings as Arrow dictionaries' values."""
        table = await self.table(name, settings=settings, **parameters)
        return {column: table.column(column).to_numpy() for column in table.column_names}

    async def table(
        self,
        name: str,
        *,
        settings: Mapping[str, Any] | None = None,
        change: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> pa.Table:
        """For large answers that stay in Arrow. `change`: constant texts in the file to replace."""
        try:
            async with self._turn():
                return await self._client.query_arrow(
                    _changed(name, change),
                    parameters=_quoted(parameters),
                    settings={**self._settings, **(settings or {})},
                )
        except Exception as error:
            raise self._classified(error) from error

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Rows of one table, visible to every reader when this returns."""
        settings = {"async_insert": 0, "insert_deduplicate": 0}
        try:
            await self._client.insert(table, rows, column_names=list(columns), settings=settings)
        except Exception as error:
            raise self._classified(error) from error

    async def execute(self, name: str, *, settings: Mapping[str, Any] | None = None, **parameters: Any) -> None:
        """A statement without an answer; what it deletes is gone for every reader when this returns."""
        try:
            await self._client.command(
                sql(name), parameters=_quoted(parameters), settings={**self._settings, **_CHANGES, **(settings or {})}
            )
        except Exception as error:
            raise self._classified(error) from error

    async def stream(
        self,
        name: str,
        file_format: str,
        settings: Mapping[str, Any],
        change: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> AsyncIterator[bytes]:
        """The engine's answer in one of its formats, as it comes; closing the iterator ends the query. `settings`
        go before the usual ones; `change`: constant texts in the file to replace."""
        tail = Tail()
        try:
            stream = await self._client.raw_stream(
                _changed(name, change),
                parameters=_quoted(parameters),
                settings={**_SETTINGS, "priority": PEOPLES_PRIORITY, **settings},
                fmt=file_format,
            )
            async with stream:
                async for piece in stream:
                    if whole := tail.pass_on(piece):
                        yield whole
        except Exception as error:
            tail.end()  # the engine's own words go before those of a broken connection
            raise self._classified(error) from error
        if rest := tail.end():
            yield rest

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One query is one turn, and none asks another one within: a wait always ends."""
        asker = ASKER.get()
        if asker is None or self._turns is None:
            yield
            return
        async with self._turns(asker.user, asker.team):
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
        # For a question, a limit that was hit is no reason to ask the same again.
        return StorageRefusedError(str(found), code) if code in (159, 241) else found


def _quoted(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters for the driver, which binds `{name:Type}` on the server."""
    return parameters
