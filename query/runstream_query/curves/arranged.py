"""Points of many series, put into the order of their steps. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from runstream_query.curves.buckets import Floats, Ints

_MAX_INT = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class Points:
    """Of S series, by run, metric and rank: N points, those of a series one behind the other, by step. None has no
    points."""

    runs: list[str]
    metrics: list[str]
    ranks: list[int]
    counts: Ints
    """(S,): points of each."""
    step: Ints
    value: Floats
    time_us: Ints

    @property
    def starts(self) -> Ints:
        """(S,): where each begins."""
        return np.cumsum(self.counts) - self.counts


def arranged(table: pa.Table) -> tuple[Points, bool]:
    """Rows of `curve_rows.sql` or `curve_points.sql`; and whether a step of a series comes twice: which of its rows
    survives must be asked then."""
    lists = {name: table.column(name).combine_chunks() for name in ("step", "value", "time_us")}
    columns = {name: lists[name].flatten().to_numpy() for name in lists}
    counts = np.diff(lists["step"].offsets.to_numpy()).astype(np.int64)
    repeated = False
    if not _rising(columns["step"], counts):
        # Stable: a merge of stretches that are sorted already.
        order = _by_step(columns["step"], counts)
        columns = {name: column[order] for name, column in columns.items()}
        repeated = not _rising(columns["step"], counts)
    runs, metrics, ranks = (table.column(name).to_pylist() for name in ("run", "metric", "rank"))
    return Points(runs, metrics, ranks, counts, **columns), repeated


def _rising(steps: Ints, counts: Ints) -> bool:
    """Whether each is greater than the one before, within its series."""
    rises = steps[1:] > steps[:-1]
    rises[np.cumsum(counts)[:-1] - 1] = True
    return bool(rises.all())


def _by_step(steps: Ints, counts: Ints) -> Any:
    """The order of the points, series by series: sorted by one number a point where it fits."""
    series = np.repeat(np.arange(len(counts)), counts)
    low, high = int(steps.min()), int(steps.max())
    if len(counts) * (high - low + 1) > _MAX_INT:
        return np.lexsort((steps, series))
    return np.argsort(series * (high - low + 1) + (steps - low), kind="stable")
