"""Remember the plans of series that were charted lately, so that the same chart is read faster again.

Three queries find which parts hold points of a series, which of those parts have roll-ups, and which steps each covers;
only then can the series be read. A plan stays true as long as these parts exist and no other part has points of the
metric, because parts never change. `readers/remembered_series.py` checks that while it reads. The points themselves are
not remembered.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypeVar

from runstream_query.curves.series_plan import SeriesPlan

_MAX_SERIES = 1000
_MAX_SERIES_A_REQUEST = 4
"""Series of one request that are looked up here: enough for a handful of charts, not for a workspace."""
_REST_S = 60.0
"""Seconds for which a series that has changed is not remembered.

A series that is being logged changes all the time, and reading it in vain costs as much as remembering was to save.
"""
Name = tuple[str, str, str]
"""project, run, metric"""
Value = TypeVar("Value")


class PlanCache:
    """Remember the plans of series of which a single rank has logged the metric; a query service has one instance."""

    def __init__(self) -> None:
        self._plans: dict[Name, SeriesPlan] = {}
        self._changed_s: dict[Name, float] = {}

    def remember(self, name: Name, plan: SeriesPlan) -> None:
        if time.monotonic() - self._changed_s.get(name, -_REST_S) >= _REST_S:
            _put(self._plans, name, plan)

    def forget(self, name: Name) -> None:
        """Forget a series that has changed; it is not remembered for a while."""
        self._plans.pop(name, None)
        _put(self._changed_s, name, time.monotonic())

    def plans_of(self, project: str, runs: Sequence[str], metrics: Sequence[str]) -> dict[Name, SeriesPlan] | None:
        """Return the plans of all these metrics of all these runs; None where one of them is not known."""
        if len(runs) * len(metrics) > _MAX_SERIES_A_REQUEST:
            return None
        names = [(project, run, metric) for run in runs for metric in metrics]
        plans = {name: self._plans[name] for name in names if name in self._plans}
        return plans if len(plans) == len(names) else None


def _put(entries: dict[Name, Value], name: Name, value: Value) -> None:
    """Add an entry as the latest; drop the earliest where there are too many."""
    entries.pop(name, None)
    if len(entries) >= _MAX_SERIES:
        del entries[next(iter(entries))]
    entries[name] = value
