"""Remembers what the series of recent charts are made of, so that the same chart is read faster again.

Three queries find which parts hold points of a series, which of those parts have roll-ups, and which steps each covers;
only then can the series be read. The answer stays true as long as these parts exist and no other part has points of the
metric, because parts never change. Two queries check that while the series is read. The points themselves are not
remembered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runstream_query.base.storage import ONE_THREAD, Storage
from runstream_query.curves.readers.rollup_reader import parts_alive
from runstream_query.curves.spans import Span

_MAX_SERIES = 1000
_MAX_SERIES_A_REQUEST = 4
"""Series of one request that are looked up here: enough for a handful of charts, not for a workspace."""
_REST_S = 60.0
"""Seconds for which a series that has changed is not remembered.

A series that is being logged changes all the time, and reading it in vain costs as much as remembering was to save.
"""
Name = tuple[str, str, str]
"""project, run, metric"""


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """What the series of a metric is made of, where a single rank has logged the metric.

    `rolled`: rows of `rolled_series.sql`. `others`: rows of `other_parts.sql` for the whole series. `extent`: the range
    of its steps.
    """

    rank: int
    extent: Span
    rolled: list[dict[str, Any]]
    others: list[dict[str, Any]]

    @property
    def parts(self) -> list[str]:
        return [row["part"] for row in (*self.rolled, *self.others)]


class PlanCache:
    """Remembers the series that were charted lately; a query service has one instance."""

    def __init__(self) -> None:
        self._makeups: dict[Name, SeriesPlan] = {}
        self._changed_s: dict[Name, float] = {}

    def remember(self, name: Name, plan: SeriesPlan) -> None:
        if time.monotonic() - self._changed_s.get(name, -_REST_S) >= _REST_S:
            _put(self._makeups, name, plan)

    def all_of(self, project: str, runs: Sequence[str], metrics: Sequence[str]) -> dict[Name, SeriesPlan] | None:
        """Return the plan of all these metrics of all these runs; None where one of them is not known."""
        if len(runs) * len(metrics) > _MAX_SERIES_A_REQUEST:
            return None
        names = [(project, run, metric) for run in runs for metric in metrics]
        found = {name: self._makeups[name] for name in names if name in self._makeups}
        return found if len(found) == len(names) else None

    async def unchanged(self, storage: Storage, name: Name, plan: SeriesPlan) -> bool:
        """Return True when the series is still made of these parts; forget it otherwise. Raises StorageError."""
        project, run, metric = name
        parts = plan.parts
        parameters = {"project": project, "run": run, "metric": metric, "parts": parts}
        elsewhere, alive = await asyncio.gather(
            storage.rows("points_elsewhere", settings=ONE_THREAD, **parameters), parts_alive(storage, parts)
        )
        if not elsewhere and alive == set(parts):
            return True
        self._makeups.pop(name, None)
        _put(self._changed_s, name, time.monotonic())
        return False


def _put(into: dict[Name, Any], name: Name, what: Any) -> None:
    """Add an entry as the latest; drop the earliest where there are too many."""
    into.pop(name, None)
    if len(into) >= _MAX_SERIES:
        del into[next(iter(into))]
    into[name] = what
