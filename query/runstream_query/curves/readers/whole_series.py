"""Read short series: one query fetches their points, which are put into buckets here.

This is faster than the engine's aggregation when a bucket holds few points.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from runstream_query.curves.buckets import Ints, from_points
from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_plan import KnownSeries
from runstream_query.curves.readers.curve_reader import ReadContext
from runstream_query.curves.sorting import Points, sort_points
from runstream_query.curves.widths import GRID, width_for

_MAX_ROWS = 4_000_000
"""Rows that are read without a check of versions: more than are read whole for an answer (`curve_plan.MAX_READ`)."""


class WholeSeriesReader:
    """Read the points of all series at once."""

    def __init__(self, context: ReadContext) -> None:
        self._context = context

    async def read(self, series: Sequence[KnownSeries]) -> list[Curve]:
        curves: list[Curve] = []
        for runs, metrics in _rectangles(series):
            curves += bucket_points(await points_of(self._context, runs, metrics), self._context.query.buckets)
        return curves


async def points_of(context: ReadContext, runs: Sequence[str], metrics: Sequence[str]) -> Points:
    """Return the requested points of all these metrics of these runs."""
    storage, query = context.storage, context.query
    parameters: dict[str, Any] = {
        "project": context.project,
        "runs": list(runs),
        "metrics": list(metrics),
        "ranks": query.ranks,
        "min_step": query.min_step,
        "max_step": query.max_step,
    }
    if not query.by_time:
        # Rows are seldom superseded, and never for long: superseded rows are gone when their parts are merged.
        points, repeated = sort_points(await storage.table("short_series_unmerged", **parameters, limit=_MAX_ROWS))
        if not repeated and len(points.step) < _MAX_ROWS:
            return points
    ranges = [context.times_us(run) for run in runs]
    surviving = await storage.table(
        "short_series_final",
        **parameters,
        by_time=int(query.by_time),
        min_us=[low for low, _ in ranges],
        max_us=[high for _, high in ranges],
    )
    return sort_points(surviving)[0]


def _rectangles(series: Sequence[KnownSeries]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield runs with the same metrics together: conditions on columns are cheap, conditions on pairs are not."""
    by_run: dict[str, list[str]] = defaultdict(list)
    for one in series:
        by_run[one.run].append(one.metric)
    by_metrics: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for run, metrics in by_run.items():
        by_metrics[tuple(sorted(metrics))].append(run)
    for metrics_of, runs in by_metrics.items():
        yield sorted(runs), list(metrics_of)


def bucket_points(points: Points, buckets: int) -> Iterator[Curve]:
    """Yield the curves of points; all series are put into buckets at once.

    The ranks of one metric share the width of their buckets. It is 1 where no rank has more points than buckets.
    """
    if not points.runs:
        return
    steps, starts, counts = points.step, points.starts, points.counts
    widths = _widths(points, starts, buckets)
    bucket = (steps + GRID) // np.repeat(widths, counts) if widths.max() > 1 else steps + GRID
    whole = from_points(bucket, steps, points.value, points.time_us, starts)
    edges = np.searchsorted(np.cumsum(whole.points), starts, side="right").tolist()
    named = zip(
        points.runs, points.metrics, points.ranks, widths.tolist(), edges, [*edges[1:], len(whole)], strict=True
    )
    for run, metric, rank, width, start, end in named:
        yield Curve(run, metric, rank, width, whole.part(start, end))


def _widths(points: Points, starts: Ints, buckets: int) -> Ints:
    """Return the width of the buckets of each series."""
    named = list(zip(points.runs, points.metrics, strict=True))
    names = np.array([place for place, name in enumerate(named) if not place or name != named[place - 1]])
    lows = np.minimum.reduceat(points.step[starts], names).tolist()
    highs = np.maximum.reduceat(points.step[starts + points.counts - 1], names).tolist()
    longest = np.maximum.reduceat(points.counts, names).tolist()
    widths = [
        1 if most <= buckets else width_for(low, high, buckets)
        for low, high, most in zip(lows, highs, longest, strict=True)
    ]
    return np.repeat(np.array(widths, dtype=np.int64), np.diff(names, append=len(starts)))
