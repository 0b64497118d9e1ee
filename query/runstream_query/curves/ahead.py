"""What is asked before it is known to be of use: a chart that is looked at again is most likely read from the same
parts.

Where other parts than those with roll-ups have points is asked once those are known (see `rolled.py`), a round of its
own. Of a series that was charted lately it is asked at the same time, of the parts of then. Where the parts turn out to
be others, it is asked again. Nothing depends on the guess but the time: a part that is there at the end was there all
along, so the answer of the earlier moment is as true of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
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


async def other_parts(storage: Storage, name: Name, parts: Sequence[str], low: int, high: int) -> list[dict[str, Any]]:
    """Rows of `other_parts.sql` for a series in a range of steps. Raises StorageError."""
    project, run, metric, rank = name
    question = {"project": project, "run": run, "metric": metric, "rank": rank, "parts": list(parts)}
    return await storage.rows("other_parts", settings=ONE_THREAD, **question, min_step=low, max_step=high)


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
        known = list(islice(self._of(project, runs, metrics), _MAX_ASKED))
        answers = await asyncio.gather(*(other_parts(storage, name, parts, low, high) for name, parts in known))
        return {name: Guess(parts, rows) for (name, parts), rows in zip(known, answers, strict=True)}

    def _of(self, project: str, runs: list[str], metrics: list[str]) -> Iterator[tuple[Name, tuple[str, ...]]]:
        wanted = {(project, run, metric) for run in runs for metric in metrics}
        return ((name, parts) for name, parts in self._parts.items() if name[:3] in wanted)
