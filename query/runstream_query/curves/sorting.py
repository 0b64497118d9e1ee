"""Sort the points of many series by step. All functions are pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from runstream_query.curves.buckets import Floats, Ints

_MAX_INT = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class Points:
    """Hold N points of S series, which are sorted by run, metric and rank.

    The points of one series stand together, sorted by step. Each series has at least one point.
    """

    runs: list[str]
    metrics: list[str]
    ranks: list[int]
    counts: Ints
    """(S,): number of points of each series."""
    step: Ints
    value: Floats
    time_us: Ints

    @property
    def starts(self) -> Ints:
        """(S,): index of the first point of each series."""
        return np.cumsum(self.counts) - self.counts


def sort_points(table: pa.Table) -> tuple[Points, bool]:
    """Return the points of short series in order, and whether a step of a series comes twice.

    Where a step comes twice, the caller must ask the engine which of the rows survives.
    """
    lists = {name: table.column(name).combine_chunks() for name in ("step", "value", "time_us")}
    columns = {name: lists[name].flatten().to_numpy() for name in lists}
    counts = np.diff(lists["step"].offsets.to_numpy()).astype(np.int64)
    repeated = False
    if not _rising(columns["step"], counts):
        # A stable sort merges stretches that are sorted already.
        order = _by_step(columns["step"], counts)
        columns = {name: column[order] for name, column in columns.items()}
        repeated = not _rising(columns["step"], counts)
    runs, metrics, ranks = (table.column(name).to_pylist() for name in ("run", "metric", "rank"))
    return Points(runs, metrics, ranks, counts, **columns), repeated


def _rising(steps: Ints, counts: Ints) -> bool:
    """Return True when each step is greater than the one before it in its series."""
    rises = steps[1:] > steps[:-1]
    rises[np.cumsum(counts)[:-1] - 1] = True
    return bool(rises.all())


def _by_step(steps: Ints, counts: Ints) -> Any:
    """Return the order of the points by series and step; one number a point is the sort key where it fits."""
    series = np.repeat(np.arange(len(counts)), counts)
    low, high = int(steps.min()), int(steps.max())
    if len(counts) * (high - low + 1) > _MAX_INT:
        return np.lexsort((steps, series))
    return np.argsort(series * (high - low + 1) + (steps - low), kind="stable")
