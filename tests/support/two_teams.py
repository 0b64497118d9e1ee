"""Rows of two teams in every table, close to each other in the same parts: does one see the other's?"""

from __future__ import annotations

from typing import Any

from runstream_control.control_store import ControlStore

MINE, THEIRS = "main", "rivals"
SECRET = "their-secret"
"""In every text of the other team's rows."""
ROWS = 40
TABLES = {
    *("alerts", "console", "files", "histograms", "ledger", "media", "points", "rejects"),
    *("run_fields", "series", "streams", "strings", "tables"),
}
"""What the views are made of."""
_SECTIONS = ("run", "config", "summary")


async def seed(client: Any, store: ControlStore) -> str:
    """Fill every table that a view reads; returns a key of the other team."""
    columns: dict[str, dict[str, str]] = {}
    for table, name, kind in (
        await client.query(
            "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() "
            "AND table IN {tables:Array(String)} ORDER BY position",
            parameters={"tables": sorted(TABLES)},
        )
    ).result_rows:
        columns.setdefault(table, {})[name] = kind
    for table, kinds in columns.items():
        for section in _SECTIONS if table == "run_fields" else ("",):
            values = ", ".join(f"{_value(name, kind, section)} AS {name}" for name, kind in kinds.items())
            await client.command(f"INSERT INTO {table} ({', '.join(kinds)}) SELECT {values} FROM numbers({4 * ROWS})")
        await client.command(f"OPTIMIZE TABLE {table} FINAL")
    return str(await store.create_api_key("eve", THEIRS))


_PROJECT = f"['aaa/p', '{MINE}/two', '{MINE}x/p', '{THEIRS}/p'][number % 4 + 1]"
_TEXT = f"if(number % 4 = 1, 'm' || toString(intDiv(number, 4)), '{SECRET}-' || toString(number))"


def _value(name: str, kind: str, section: str) -> str:
    special = {
        "project": _PROJECT,
        "run_month": "toDate('2026-11-01')",
        "section": f"'{section}'",
        "deleted": "0",
        "helper": "0",
        "event": "'start'",
        "value": "number" if kind == "Float64" else f"if(number % 4 = 1, '1.5', '\"{SECRET}\"')",
    }
    if name in special and (name != "value" or kind in ("Float64", "String")):
        return special[name]
    if kind.startswith("SimpleAggregateFunction") and "Tuple" not in kind:
        return "number"
    if kind.startswith("SimpleAggregateFunction"):
        inner = kind.partition(", ")[2][:-1]
        return f"CAST((toInt64(number), toUInt64(1), toFloat64(number), now64(6)), '{inner}')".replace(
            "'UTC'", "\\'UTC\\'"
        )
    if kind == "FixedString(64)":
        return f"toFixedString({_TEXT}, 64)"
    if "String" in kind:
        return f"[{_TEXT}]" if kind.startswith("Array") else _TEXT
    if kind.startswith("Array"):
        return f"CAST([number], '{kind}')"
    if kind.startswith(("Date", "DateTime")):
        return "now64(6)" if "64" in kind else "toDate('2026-11-01')"
    return f"CAST(number, '{kind}')"
