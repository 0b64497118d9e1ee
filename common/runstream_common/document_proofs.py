"""Hashes of rows that are not points. The writer computes them from what it stores, ClickHouse from what is stored.

A row has two hashes: one of its key, and one of the whole row. The lowest four bits of the key's hash are the number of
the table. `document_rows.sql` of the query service computes the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "run_fields": (("section", "key"), ("value", "deleted")),
    "streams": (
        ("writer", "event"),
        ("rank", "epoch", "world_size", "host", "pid", "user", "helper", "outcome", "exit_code", "points", "records")
        + ("dropped_points",),
    ),
    "strings": (("key", "rank", "step"), ("value",)),
    "histograms": (("key", "rank", "step"), ("edges", "counts")),
    "tables": (("key", "rank", "step"), ("columns", "row_count", "rows", "plot")),
    "media": (("key", "rank", "step", "item"), ("media_type", "sha256", "size_bytes", "caption", "metadata")),
    "files": (("path",), ("category", "rank", "media_type", "sha256", "size_bytes")),
    "console": (("rank", "output", "writer", "line"), ("text",)),
    "alerts": (("writer", "number"), ("rank", "level", "title", "text")),
    "rejects": (("writer", "batch", "reason"), ("points", "epoch")),
}
"""For each table: the columns of its natural key, and the other columns that are hashed.

All tables but `rejects` have a version and a time as well. The position is the table's number, so only append.
"""
NAMES = tuple(TABLES)
_TABLE_MASK = 0xF
_UNVERSIONED = frozenset({"rejects"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PROCESS_LIVES = "heartbeat"
"""These rows are replaced all the time, so they prove nothing."""


def table_of(key: int) -> str:
    """Return the table whose number the hash of a key contains."""
    return NAMES[key & _TABLE_MASK]


def entries(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[int, int]:
    """Return the hash of each row by the hash of its key, for the rows of a batch.

    Of several rows with one key only the last one counts: it is the one that stays stored.
    """
    found: dict[int, int] = {}
    for number, (table, (key, values)) in enumerate(TABLES.items()):
        for row in rows.get(table, ()):
            if table == "streams" and row["event"] == _PROCESS_LIVES:
                continue
            own = [row[column] for column in key]
            stamp = () if table in _UNVERSIONED else (row["version"], (row["time"] - _EPOCH) // _MICROSECOND)
            name = _digest(own) & ~_TABLE_MASK | number
            found[name] = _digest([*own, *stamp, *(row[column] for column in values)])
    return found


def _digest(parts: Iterable[object]) -> int:
    """Return the first 8 bytes of the SHA-256, as ClickHouse's `reinterpretAsUInt64(SHA256(...))` reads them."""
    text = "\0".join(map(_text, parts))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little")


def _text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, list):
        if part and isinstance(part[0], str):
            return "\1".join(part)
        return ",".join(map(str, np.array(part, dtype="<f8").view("<u8").tolist()))
    return str(int(part))
