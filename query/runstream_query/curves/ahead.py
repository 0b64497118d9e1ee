"""What is asked before it is known to be of use: a chart that is looked at again is most likely read from the same
parts.

Where other parts than those with roll-ups have points is asked once those are known (see `rolled.py`), a round of its
own. Of a series that was charted lately it is asked at the same time, of the parts of then. Where the parts turn out to
be others, it is asked again. Nothing depends on the guess but the time: a part that is there at the end was there all
along, so the answer of the earlier moment is as true of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runstream_query.storage import ONE_THREAD, Storage

_MAX_SERIES = 1000
_MAX_ASKED = 4
"""Series of one question: for a handful of charts, not for a workspace."""
Name = tuple[str, str, str, int]
"""project, run, metric, rank"""


@dataclass(frozen=True, slots=True)
class Guess:
    """`rows`: of `other_parts.sql` for these parts."""

    parts: tuple[str, ...]
    rows: list[dict[str, Any]]


class Recent:
    """One of a query service: of each series charted lately, the parts that it was read from."""

    def __init__(self) -> None:
        self._parts: dict[Name, tuple[str, ...]] = {}

    def remember(self, name: Name, parts: tuple[str, ...]) -> None:
        self._parts.pop(name, None)
        if len(self._parts) >= _MAX_SERIES:
            del self._parts[next(iter(self._parts))]
        self._parts[name] = parts

    async def guess(
        self, storage: Storage, project: str, runs: list[str], metrics: list[str], low: int, high: int
    ) -> dict[Name, Guess]:
        """For the series of this question. Raises StorageError."""
        if len(runs) * len(metrics) > _MAX_ASKED:
            return {}
        found: dict[Name, Guess] = {}
        for name, parts in list(self._of(project, runs, metrics))[:_MAX_ASKED]:
            _, run, metric, rank = name
            rows = await storage.rows(
                "other_parts",
                settings=ONE_THREAD,
                project=project,
                run=run,
                metric=metric,
                rank=rank,
                parts=list(parts),
                min_step=low,
                max_step=high,
            )
            found[name] = Guess(parts, rows)
        return found

    def _of(self, project: str, runs: list[str], metrics: list[str]) -> Iterator[tuple[Name, tuple[str, ...]]]:
        wanted = {(project, run, metric) for run in runs for metric in metrics}
        return ((name, parts) for name, parts in self._parts.items() if name[:3] in wanted)
