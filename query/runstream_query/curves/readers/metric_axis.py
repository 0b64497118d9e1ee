"""Make curves against another metric: a point's x is the other metric's value of the same rank at the same step.

Buckets have equal widths in the other metric's values. With the mean over ranks, both metrics are averaged over the
ranks at each step. Steps at which the other metric has no finite value have no place on the axis and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from runstream_query.base.errors import TooExpensiveError
from runstream_query.curves.buckets import from_points
from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_plan import KnownSeries
from runstream_query.curves.curve_query import CurveQuery
from runstream_query.curves.readers.curve_reader import ReadContext
from runstream_query.curves.readers.whole_series import points_of
from runstream_query.curves.sorting import Points

MAX_POINTS = 5_000_000
"""Points that are joined for one answer."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Hold the points of one metric of one run, sorted by rank and step."""

    rank: NDArray[np.int64]
    step: NDArray[np.int64]
    value: NDArray[np.float64]
    time_us: NDArray[np.int64]


class MetricAxisReader:
    """Read curves against `query.x_metric`, run by run."""

    def __init__(self, context: ReadContext) -> None:
        self._context = context

    async def read(self, series: Sequence[KnownSeries]) -> list[Curve]:
        """Return the curves. Raises TooExpensiveError for more than MAX_POINTS points."""
        query = self._context.query
        curves: list[Curve] = []
        left = MAX_POINTS
        for run, of_run in groupby(series, key=lambda one: one.run):
            drawn = [one.metric for one in of_run]
            metrics = sorted({*drawn, query.x_metric})
            left -= await self._count(run, metrics)
            if left < 0:
                raise TooExpensiveError(
                    f"more than {MAX_POINTS} points to draw against {query.x_metric!r}: "
                    "give a range of steps or fewer runs"
                )
            rows = _by_metric(await points_of(self._context, [run], metrics))
            axis = rows.get(query.x_metric)
            if axis is not None:
                for metric in drawn:
                    if metric in rows:
                        curves += _against(run, metric, rows[metric], axis, query)
        return curves

    async def _count(self, run: str, metrics: Sequence[str]) -> int:
        """Return how many rows there are to read, superseded ones included."""
        query = self._context.query
        counts = await self._context.storage.rows(
            "count_points",
            project=self._context.project,
            run=run,
            metrics=metrics,
            ranks=query.ranks,
            min_step=query.min_step,
            max_step=query.max_step,
        )
        count: int = counts[0]["rows"]
        return count


def _by_metric(points: Points) -> dict[str, _Rows]:
    """Return the points of one run by metric."""
    edges, ranks = [*points.starts.tolist(), len(points.step)], np.array(points.ranks, dtype=np.int64)
    rows = {}
    for metric, series in groupby(range(len(points.metrics)), key=points.metrics.__getitem__):
        places = list(series)
        part = slice(edges[places[0]], edges[places[-1] + 1])
        rank = np.repeat(ranks[places], points.counts[places])
        rows[metric] = _Rows(rank, points.step[part], points.value[part], points.time_us[part])
    return rows


def _against(run: str, metric: str, rows: _Rows, axis: _Rows, query: CurveQuery) -> list[Curve]:
    if not query.each_rank:
        rows, axis = _mean(rows), _mean(axis)
    xs = _lookup(rows, axis)
    good = np.isfinite(xs) & (xs >= query.min_x) & (xs <= query.max_x)
    curves = []
    for rank in np.unique(rows.rank[good]).tolist():
        own = good & (rows.rank == rank)
        order = np.lexsort((rows.step[own], xs[own]))
        x = xs[own][order]
        bucket, width = _place(x, query.buckets)
        buckets = from_points(bucket, rows.step[own][order], rows.value[own][order], rows.time_us[own][order])
        starts = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
        curves.append(Curve(run, metric, rank, 0, buckets, x[starts], width))
    return curves


def _place(xs: NDArray[np.float64], buckets: int) -> tuple[NDArray[np.int64], float]:
    """Return the bucket numbers of sorted values, and the width of the buckets: 0 where each point has its own."""
    if len(xs) <= buckets:
        return np.arange(len(xs)), 0.0
    width = float(xs[-1] / buckets - xs[0] / buckets)
    if not np.isfinite(width) or width <= 0:
        return np.zeros(len(xs), dtype=np.int64), 0.0
    return np.minimum((xs / width - xs[0] / width).astype(np.int64), buckets - 1), width


def _mean(rows: _Rows) -> _Rows:
    """Return the mean of the finite values of all ranks at each step; a single rank keeps its value as it is."""
    order = np.argsort(rows.step, kind="stable")
    step, value = rows.step[order], rows.value[order]
    starts = np.flatnonzero(np.diff(step, prepend=step[0] - 1))
    finite = np.isfinite(value)
    count = np.add.reduceat(finite.astype(np.int64), starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(finite, value, 0.0), starts) / count
    alone = np.diff(np.append(starts, len(step))) == 1
    return _Rows(
        np.zeros(len(starts), dtype=np.int64),
        step[starts],
        np.where(alone, value[starts], mean),
        np.minimum.reduceat(rows.time_us[order], starts),
    )


def _lookup(rows: _Rows, axis: _Rows) -> NDArray[np.float64]:
    """Return the axis' value at the rank and step of each row, NaN where it has none.

    Both are sorted by rank and step.
    """
    keys = np.dtype([("rank", np.int64), ("step", np.int64)])
    have = np.rec.fromarrays([axis.rank, axis.step], dtype=keys)
    want = np.rec.fromarrays([rows.rank, rows.step], dtype=keys)
    _, at_have, at_want = np.intersect1d(have, want, assume_unique=True, return_indices=True)
    xs = np.full(len(rows.step), np.nan)
    xs[at_want] = axis.value[at_have]
    return xs
