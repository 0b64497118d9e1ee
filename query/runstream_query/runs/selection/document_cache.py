"""Cache whole documents of the runs that were shown lately, beside the columns of their project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from runstream_query.runs.documents import RunDocuments

_MAX_RUNS = 2000
_VALUE_BYTES = 150


class DocumentCache:
    """The cached documents of one project's runs.

    The caller must call `changed` when rows of runs arrive, and `clear` when rows may be gone.
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[dict[str, dict[str, Any]], dict[str, Any]]] = {}
        self._changes = 0
        self._values = 0

    @property
    def bytes(self) -> int:
        """About how many bytes of memory the documents take."""
        return self._values * _VALUE_BYTES

    def clear(self) -> None:
        self._changes += 1
        self._held.clear()
        self._values = 0

    def changed(self, runs: Iterable[str]) -> None:
        self._changes += 1
        for run in runs:
            self._drop(run)

    async def load(self, runs: Sequence[str], read: Callable[[list[str]], Awaitable[RunDocuments]]) -> RunDocuments:
        """Return the documents of these runs; `read` reads those that are not held."""
        loaded = RunDocuments(defaultdict(lambda: defaultdict(dict)), defaultdict(dict))
        for run in runs:
            if run in self._held:
                fields, loaded.summaries[run] = self._held[run]
                loaded.fields[run] = defaultdict(dict, fields)
        missing = [run for run in runs if run not in self._held]
        if not missing:
            return loaded
        before = self._changes
        found = await read(missing)
        for run in missing:
            loaded.replace_run(run, found)
            # Rows that arrived meanwhile may be missing; and a definition may need aggregates of the points.
            if self._changes == before and not found.fields[run]["definition"] and not found.is_partial(run):
                self._keep(run, dict(found.fields[run]), found.summaries[run])
        return loaded

    def _keep(self, run: str, fields: dict[str, dict[str, Any]], summary: dict[str, Any]) -> None:
        self._drop(run)
        if len(self._held) >= _MAX_RUNS:
            self._drop(next(iter(self._held)))
        self._held[run] = fields, summary
        self._values += _count(fields, summary)

    def _drop(self, run: str) -> None:
        held = self._held.pop(run, None)
        if held is not None:
            self._values -= _count(*held)


def _count(fields: dict[str, dict[str, Any]], summary: dict[str, Any]) -> int:
    """Return the number of values, where a long text counts as several."""
    texts = sum(len(value) for section in fields.values() for value in section.values() if isinstance(value, str))
    return len(summary) + sum(len(section) for section in fields.values()) + texts // _VALUE_BYTES
