"""Short series: their points are read in one query and put into buckets here, which is faster than the engine's
aggregation when a bucket holds few points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from runstream_query.curves.arranged import arranged
from runstream_query.curves.asked import Asked
from runstream_query.curves.buckets import from_points
from runstream_query.curves.curve import Curve
from runstream_query.curves.widths import GRID, width_for
from runstream_query.storage import Storage

Name = tuple[str, str]
"""run, metric"""
_MAX_ROWS = 4_000_000
"""That are read without a look at versions: more than points are read whole for an answer (`assemble.MAX_READ`)."""


async def read(
    storage: Storage, project: str, asked: Asked, names: Sequence[Name], started_us: Mapping[str, int]
) -> list[Curve]:
    """A curve a rank of each series. `started_us`: by run, for a range of times."""
    found: list[Curve] = []
    for runs, metrics in _rectangles(names):
        columns = await columns_of(storage, project, asked, runs, metrics, started_us)
        found += _curves(columns, runs, metrics, asked.buckets)
    return found


async def columns_of(
    storage: Storage,
    project: str,
    asked: Asked,
    runs: Sequence[str],
    metrics: Sequence[str],
    started_us: Mapping[str, int],
) -> dict[str, Any]:
    """Columns of `curve_points.sql`, in its order."""
    question: dict[str, Any] = {
        "project": project,
        "runs": list(runs),
        "run_numbers": list(range(len(runs))),
        "metrics": list(metrics),
        "metric_numbers": list(range(len(metrics))),
        "ranks": asked.ranks,
        "min_step": asked.min_step,
        "max_step": asked.max_step,
    }
    if not asked.by_time:
        # Rows are seldom superseded, and not for long: when their parts are merged they are gone.
        rows = await storage.columns("curve_rows", **question, limit=_MAX_ROWS)
        if len(rows["step"]) < _MAX_ROWS and (found := arranged(rows)) is not None:
            return found
    ranges = [asked.times_us(started_us.get(run, 0)) for run in runs]
    return await storage.columns(
        "curve_points",
        **question,
        by_time=int(asked.by_time),
        min_us=[low for low, _ in ranges],
        max_us=[high for _, high in ranges],
    )


def _rectangles(names: Sequence[Name]) -> Iterator[tuple[list[str], list[str]]]:
    """Runs that are asked for the same metrics, together: conditions on columns are cheap, on pairs they are not."""
    by_run: dict[str, list[str]] = defaultdict(list)
    for run, metric in names:
        by_run[run].append(metric)
    by_metrics: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for run, metrics in by_run.items():
        by_metrics[tuple(sorted(metrics))].append(run)
    for metrics_of, runs in by_metrics.items():
        yield sorted(runs), list(metrics_of)


def _curves(columns: dict[str, Any], runs: Sequence[str], metrics: Sequence[str], buckets: int) -> Iterator[Curve]:
    """Of rows by run, metric, rank and step. The ranks of one metric share their buckets' width; point by point where
    none has more points than buckets. All series are put into buckets at once."""
    run, metric, rank, steps = (columns[name] for name in ("run_number", "metric_number", "rank", "step"))
    if not len(run):
        return
    named = (run[1:] != run[:-1]) | (metric[1:] != metric[:-1])
    starts = np.concatenate(([0], np.flatnonzero(named | (rank[1:] != rank[:-1])) + 1))
    counts = np.diff(starts, append=len(run))
    widths = _widths(steps, starts, counts, np.concatenate(([True], named[starts[1:] - 1])), buckets)
    bucket = (steps + GRID) // np.repeat(widths, counts) if widths.max() > 1 else steps + GRID
    whole = from_points(bucket, steps, columns["value"], columns["time_us"], starts)
    edges = np.searchsorted(np.cumsum(whole.points), starts, side="right").tolist()
    for place, (start, end) in enumerate(zip(edges, [*edges[1:], len(whole)], strict=True)):
        row = starts[place]
        yield Curve(runs[run[row]], metrics[metric[row]], int(rank[row]), int(widths[place]), whole.part(start, end))


def _widths(steps: Any, starts: Any, counts: Any, first: Any, buckets: int) -> Any:
    """Of each series, where its rows start and how many they are; `first`: whether it is the first rank of a name."""
    names = np.flatnonzero(first)
    lows = np.minimum.reduceat(steps[starts], names).tolist()
    highs = np.maximum.reduceat(steps[starts + counts - 1], names).tolist()
    longest = np.maximum.reduceat(counts, names).tolist()
    found = [
        1 if most <= buckets else width_for(low, high, buckets)
        for low, high, most in zip(lows, highs, longest, strict=True)
    ]
    return np.repeat(np.array(found, dtype=np.int64), np.diff(names, append=len(starts)))
