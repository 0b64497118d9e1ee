"""Answers about the keys of a whole project, kept while no row has come that could change them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

_MAX_ANSWERS = 16
_MAX_ROWS = 2000
_ROW_BYTES = 1000
Rows = list[dict[str, Any]]


class KeptAnswers:
    """Of one project. Whoever learns that rows of a table have come, or may have gone, tells `changed`."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, Any], Rows] = {}
        self._changes = 0

    @property
    def bytes(self) -> int:
        """About so much memory."""
        return _ROW_BYTES * sum(map(len, self._held.values()))

    def changed(self, table: str = "") -> None:
        """`table`: '' for all."""
        self._changes += 1
        self._held = {key: rows for key, rows in self._held.items() if table and key[0] != table}

    async def ask(self, table: str, question: Any, read: Callable[[], Awaitable[Rows]]) -> Rows:
        """What `read` answers to this question about the table. The rows are not to be changed."""
        key = (table, question)
        if key in self._held:
            return self._held[key]
        before = self._changes
        rows = await read()
        if self._changes == before and len(rows) <= _MAX_ROWS:  # what came meanwhile may not be in it
            while len(self._held) >= _MAX_ANSWERS:
                del self._held[next(iter(self._held))]
            self._held[key] = rows
        return rows
