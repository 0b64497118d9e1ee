"""Answer the queries that tools send to connect or to show a schema, without revealing other teams' data.

Each such statement is recognised by its whole text, as the engine formats it, and replaced by a safe one.
"""

from __future__ import annotations

import re

from runstream_query.base.errors import InvalidRequestError
from runstream_query.sqlaccess import catalogue
from runstream_query.sqlaccess.tenancy import literal

_NAME = r"(?:`?(\w+)`?\.)?`?(\w+)`?"
_SHOW_TABLES = re.compile(r"SHOW TABLES(?: FROM `?(\w+)`?)?")
_DESCRIBE = re.compile(rf"DESC(?:RIBE)? TABLE {_NAME}")
_COLUMNS = re.compile(
    r"SELECT name, type, `?table`? FROM system\.columns(?: WHERE database (?:= '(\w+)'|IN \('(\w+)'\)))?.*"
)
_SETTINGS = "SELECT name, value, readonly FROM system.settings LIMIT 10000"
SHOWN_SETTINGS = ("max_execution_time", "max_result_rows", "session_timezone")
"""The settings that clickhouse-connect may see: those that it may set."""


def replacement(canonical: str, database: str) -> str | None:
    """Return our statement in place of the tool's; None for an ordinary statement. Raise InvalidRequestError."""
    if canonical == "SHOW DATABASES":
        return f"SELECT {literal(database)} AS name"
    if found := _SHOW_TABLES.fullmatch(canonical):
        return _names() if found[1] in (None, database, "default") else f"{_names()} WHERE 0"
    if found := _DESCRIBE.fullmatch(canonical):
        if found[1] not in (None, database) or found[2] not in catalogue.READABLE:
            raise InvalidRequestError(
                f"there is no table {found[2][:80]!r}: see docs/sql.md for those that can be read"
            )
        return f"DESCRIBE TABLE {database}.{found[2]}"
    if canonical == _SETTINGS:
        names = ", ".join(literal(name) for name in SHOWN_SETTINGS)
        return f"SELECT name, value, toUInt8(0) AS readonly FROM system.settings WHERE name IN ({names})"  # noqa: S608  # constants
    if _COLUMNS.fullmatch(canonical):
        names = ", ".join(literal(name) for name in sorted(catalogue.READABLE))
        return (
            "SELECT name, type, table FROM system.columns "  # noqa: S608  # constants
            f"WHERE database = {literal(database)} AND table IN ({names})"
        )
    return None


def _names() -> str:
    names = ", ".join(literal(name) for name in sorted(catalogue.READABLE))
    return f"SELECT name FROM (SELECT arrayJoin([{names}]) AS name)"  # noqa: S608  # constants
