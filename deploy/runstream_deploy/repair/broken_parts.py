"""Find parts of tables that cannot be read, and copy their readable rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runstream_common.clickhouse.client import StorageRefusedError, classify
from runstream_common.clickhouse.interface import ClickHouseClient, Parameters, Row
from runstream_common.sql_files import read_sql
from runstream_query.base.storage import Storage

_SQL = Path(__file__).parent / "sql"
_COPY_SETTINGS = {"async_insert": 0, "insert_deduplicate": 0, "mutations_sync": 2, "max_execution_time": 0}
_CHECK_SETTINGS = {"check_query_single_value_result": 0, "max_execution_time": 0}
_NARROWER = (("project", "run"), ("metric",), ("key",))
"""The columns by which the readable rows of a part are found, from left to right."""


@dataclass(frozen=True, slots=True)
class BrokenPart:
    table: str
    name: str
    reason: str
    detached: bool
    """Whether the engine detached the part already, when it started."""

    def __str__(self) -> str:
        if self.detached:
            return (
                f"part {self.name} of table {self.table} is detached, because the engine could not read it "
                f"({self.reason}): no query returns its rows"
            )
        return f"part {self.name} of table {self.table} is broken: {self.reason}"


async def find_broken(client: ClickHouseClient) -> list[BrokenPart]:
    """Return the parts that disagree with their checksums, and those that the engine detached.

    This reads everything that is stored. Raise StorageError.
    """
    storage = Storage(client)
    detached = await storage.rows("detached_parts", limit=1000)
    found = [BrokenPart(row["table"], row["name"], row["reason"], True) for row in detached]
    for row in await storage.rows("tables_with_parts"):
        for name, passed, message in await _check(client, row["table"]):
            if not int(passed):
                found.append(BrokenPart(row["table"], name, message, False))
    return found


async def _check(client: ClickHouseClient, table: str) -> list[Row]:
    """Return the name of each part, whether it passed, and why it did not."""
    try:
        # A format must be named: the driver takes CHECK for a command, and would return its answer as one row of text.
        raw = await client.raw_query(
            read_sql(_SQL, "check_table"), {"table": table}, settings=_CHECK_SETTINGS, fmt="JSONCompact"
        )
    except Exception as error:
        raise classify(error) from error
    return list(json.loads(raw)["data"])


async def detach(client: ClickHouseClient, part: BrokenPart, columns: Sequence[str]) -> tuple[int, int]:
    """Copy the readable rows of a broken part, then detach it: its files stay in the folder `detached`.

    `columns` are the table's. Return the number of copied rows, and of groups of rows that could not be read. Raise
    StorageError.
    """
    rescue = _Rescue(client, part, columns)
    copied, unreadable = await rescue.copy([])
    await rescue.detach()
    return copied, unreadable


class _Rescue:
    """Copy the readable rows of one part: all at once or, where that fails, by smaller and smaller groups."""

    def __init__(self, client: ClickHouseClient, part: BrokenPart, columns: Sequence[str]) -> None:
        self._client = client
        self._columns = set(columns)
        self._part: Parameters = {"table": part.table, "part": part.name}

    async def copy(self, known: list[tuple[str, str]]) -> tuple[int, int]:
        """Copy the rows in which these columns have these values.

        Return the number of copied rows, and of groups of rows that could not be read. Raise StorageError.
        """
        condition, values = _condition(known)
        parameters = self._part | values
        try:
            await self._command(read_sql(_SQL, "copy_rows") + condition, parameters)
            return int((await self._query(read_sql(_SQL, "count_rows") + condition, parameters))[0][0]), 0
        except StorageRefusedError:
            left = self._columns - {column for column, _ in known}
            narrower = next((columns for columns in _NARROWER if {*columns} <= left), None)
        if narrower is None:
            return 0, 1
        names: Parameters = {"first": narrower[0], "second": narrower[-1]}
        try:
            groups = await self._query(read_sql(_SQL, "groups_of_rows") + condition, parameters | names)
        except StorageRefusedError:
            return 0, 1
        copied = unreadable = 0
        for group in groups:
            rows, bad = await self.copy([*known, *zip(narrower, group, strict=False)])
            copied, unreadable = copied + rows, unreadable + bad
        return copied, unreadable

    async def detach(self) -> None:
        await self._command(read_sql(_SQL, "detach_part"), self._part)

    async def _query(self, statement: str, parameters: Parameters) -> Sequence[Row]:
        try:
            return (await self._client.query(statement, parameters)).result_rows
        except Exception as error:
            raise classify(error) from error

    async def _command(self, statement: str, parameters: Parameters) -> None:
        try:
            await self._client.command(statement, parameters, settings=_COPY_SETTINGS)
        except Exception as error:
            raise classify(error) from error


def _condition(known: Sequence[tuple[str, str]]) -> tuple[str, Parameters]:
    """Return constant text that goes on after a WHERE, and its parameters."""
    text = "".join(
        f" AND toString({{column_{number}:Identifier}}) = {{value_{number}:String}}" for number in range(len(known))
    )
    parameters: Parameters = {}
    for number, (column, value) in enumerate(known):
        parameters |= {f"column_{number}": column, f"value_{number}": value}
    return text, parameters
