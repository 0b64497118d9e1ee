"""Find parts of tables that cannot be read, and copy their readable rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from runstream_common.clickhouse.client import StorageRefusedError, classify
from runstream_common.clickhouse.interface import ClickHouseClient, Row
from runstream_query.base.storage import Storage

_AS_IT_IS = {"async_insert": 0, "insert_deduplicate": 0, "mutations_sync": 2, "max_execution_time": 0}
_NARROWER = (("project", "run"), ("metric",), ("key",))
"""The columns by which the readable rows of a part are found, from left to right."""
_QUOTES = str.maketrans({"'": "''", "\\": "\\\\"})


@dataclass(frozen=True, slots=True)
class BrokenPart:
    table: str
    name: str
    reason: str
    aside: bool
    """Whether the engine put the part aside already, when it started."""

    def __str__(self) -> str:
        if self.aside:
            return f"part {self.name} of {self.table} was put aside ({self.reason}): its rows are in no answer"
        return f"part {self.name} of {self.table} is broken: {self.reason}"


async def find_broken(client: ClickHouseClient) -> list[BrokenPart]:
    """Return the parts that disagree with their checksums, and those that the engine put aside.

    This reads everything that is stored. Raise StorageError.
    """
    storage = Storage(client)
    aside = await storage.rows("detached_parts", limit=1000)
    found = [BrokenPart(row["table"], row["name"], row["reason"], True) for row in aside]
    for row in await storage.rows("tables_with_parts"):
        for name, passed, message in await _check(client, row["table"]):
            if not int(passed):
                found.append(BrokenPart(row["table"], name, message, False))
    return found


async def _check(client: ClickHouseClient, table: str) -> list[Row]:
    """Return the name of each part, whether it passed, and why it did not."""
    settings = {"check_query_single_value_result": 0, "max_execution_time": 0}
    try:
        # A format must be named: the driver takes CHECK for a command, and would return its answer as one row of text.
        raw = await client.raw_query(f"CHECK TABLE `{table}`", settings=settings, fmt="JSONCompact")
    except Exception as error:
        raise classify(error) from error
    return list(json.loads(raw)["data"])


async def set_aside(client: ClickHouseClient, part: BrokenPart, columns: Sequence[str]) -> tuple[int, int]:
    """Copy the readable rows of a broken part, then detach it: its files stay in the folder `detached`.

    `columns` are the table's. Return the number of copied rows, and of groups of rows that could not be read. Raise
    StorageError.
    """
    copied, unreadable = await _copy(client, part, columns, [])
    await _do(client, f"ALTER TABLE `{part.table}` DETACH PART '{part.name.translate(_QUOTES)}'")
    return copied, unreadable


async def _copy(
    client: ClickHouseClient, part: BrokenPart, columns: Sequence[str], known: list[tuple[str, str]]
) -> tuple[int, int]:
    """Copy rows with their keys and versions: where a row exists already, nothing changes."""
    where = " AND ".join(
        [f"_part = '{part.name.translate(_QUOTES)}'"]
        + [f"toString({column}) = '{value.translate(_QUOTES)}'" for column, value in known]
    )
    try:
        names = ", ".join(f"`{column}`" for column in columns)
        await _do(
            client,
            f"INSERT INTO `{part.table}` ({names}) SELECT {names} FROM `{part.table}` WHERE {where}",  # noqa: S608
        )
        return int((await _ask(client, f"SELECT count() FROM `{part.table}` WHERE {where}"))[0][0]), 0  # noqa: S608
    except StorageRefusedError:
        narrower = next((some for some in _NARROWER if {*some} <= {*columns} - {column for column, _ in known}), None)
    if narrower is None:
        return 0, 1
    listed = ", ".join(f"toString({column})" for column in narrower)
    try:
        groups = await _ask(client, f"SELECT DISTINCT {listed} FROM `{part.table}` WHERE {where}")  # noqa: S608
    except StorageRefusedError:
        return 0, 1
    copied = unreadable = 0
    for group in groups:
        rows, bad = await _copy(client, part, columns, [*known, *zip(narrower, group, strict=True)])
        copied, unreadable = copied + rows, unreadable + bad
    return copied, unreadable


async def _ask(client: ClickHouseClient, statement: str) -> list[Row]:
    try:
        return list((await client.query(statement)).result_rows)
    except Exception as error:
        raise classify(error) from error


async def _do(client: ClickHouseClient, statement: str) -> None:
    try:
        await client.command(statement, settings=_AS_IT_IS)
    except Exception as error:
        raise classify(error) from error
