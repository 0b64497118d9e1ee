"""Cache answers about the keys of a whole project until a row arrives that could change them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any

_MAX_ANSWERS = 16
_MAX_ROWS = 2000
_ROW_BYTES = 1000
Rows = list[dict[str, Any]]


class AnswerCache:
    """The cached answers of one project. The caller must call `changed` when rows of a table arrive or may be gone."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, Any], Rows] = {}
        self._changes = 0

    @property
    def bytes(self) -> int:
        """About how many bytes of memory the answers take."""
        return _ROW_BYTES * sum(map(len, self._held.values()))

    def changed(self, table: str = "") -> None:
        """Forget the answers from this table; '' means all tables."""
        self._changes += 1
        self._held = {key: rows for key, rows in self._held.items() if table and key[0] != table}

    async def get(self, table: str, key: Hashable, read: Callable[[], Awaitable[Rows]]) -> Rows:
        """Return the cached rows under this key, else those of `read`. The caller must not change the rows."""
        name = (table, key)
        if name in self._held:
            return self._held[name]
        before = self._changes
        rows = await read()
        if self._changes == before and len(rows) <= _MAX_ROWS:  # rows that arrived meanwhile may be missing
            while len(self._held) >= _MAX_ANSWERS:
                del self._held[next(iter(self._held))]
            self._held[name] = rows
        return rows
