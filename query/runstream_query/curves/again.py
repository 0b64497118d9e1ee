"""A chart that is looked at again: what a long series is made of is remembered, and whether it still is so is asked
while it is read.

Which parts hold points of a series, which of those have roll-ups, and from where to where each reaches, takes three
questions, and only then can the series be read. All of it is true as long as these parts exist and no other part has
points of the metric: parts never change. That takes two questions that nothing waits for. What is read is not
remembered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runstream_query.curves.rolled import parts_alive
from runstream_query.curves.spans import Span
from runstream_query.storage import ONE_THREAD, Storage

_MAX_SERIES = 1000
_MAX_ASKED = 4
"""Series of one question: for a handful of charts, not for a workspace."""
_REST_S = 60.0
"""After a series was found to have changed, it is not remembered for so long: one that is being logged changes all the
time, and what is read in vain costs what it was to save."""
Name = tuple[str, str, str]
"""project, run, metric"""


@dataclass(frozen=True, slots=True)
class Makeup:
    """Of a metric that a single rank has logged. `rolled`: rows of `rolled_series.sql`; `others`: rows of
    `other_parts.sql`, of the whole series; `extent`: from where to where it reaches."""

    rank: int
    extent: Span
    rolled: list[dict[str, Any]]
    others: list[dict[str, Any]]

    @property
    def parts(self) -> list[str]:
        return [row["part"] for row in (*self.rolled, *self.others)]


class Recent:
    """One of a query service: the series charted lately."""

    def __init__(self) -> None:
        self._makeups: dict[Name, Makeup] = {}
        self._changed_s: dict[Name, float] = {}

    def remember(self, name: Name, makeup: Makeup) -> None:
        if time.monotonic() - self._changed_s.get(name, -_REST_S) >= _REST_S:
            _put(self._makeups, name, makeup)

    def all_of(self, project: str, runs: Sequence[str], metrics: Sequence[str]) -> dict[Name, Makeup] | None:
        """Of each of these metrics of each of these runs; None where one of them is not known."""
        if len(runs) * len(metrics) > _MAX_ASKED:
            return None
        names = [(project, run, metric) for run in runs for metric in metrics]
        found = {name: self._makeups[name] for name in names if name in self._makeups}
        return found if len(found) == len(names) else None

    async def unchanged(self, storage: Storage, name: Name, makeup: Makeup) -> bool:
        """Whether the series is still made of this; if not, it is forgotten. Raises StorageError."""
        project, run, metric = name
        parts = makeup.parts
        question = {"project": project, "run": run, "metric": metric, "parts": parts}
        elsewhere, alive = await asyncio.gather(
            storage.rows("points_elsewhere", settings=ONE_THREAD, **question), parts_alive(storage, parts)
        )
        if not elsewhere and alive == set(parts):
            return True
        self._makeups.pop(name, None)
        _put(self._changed_s, name, time.monotonic())
        return False


def _put(into: dict[Name, Any], name: Name, what: Any) -> None:
    """As its latest; the earliest goes where there are too many."""
    into.pop(name, None)
    if len(into) >= _MAX_SERIES:
        del into[next(iter(into))]
    into[name] = what
