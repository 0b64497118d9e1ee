"""Short series: their points are read in one query and put into buckets here, which is faster than the engine's
aggregation when a bucket holds few points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from runstream_query.curves.asked import Asked
from runstream_query.curves.buckets import from_points
from runstream_query.curves.curve import Curve
from runstream_query.curves.widths import GRID, width_for
from runstream_query.storage import Storage

Name = tuple[str, str]
"""run, metric"""


async def read(
    storage: Storage, project: str, asked: Asked, names: Sequence[Name], started_us: Mapping[str, int]
) -> list[Curve]:
    """A curve a rank of each series. `started_us`: by run, for a range of times."""
    found: list[Curve] = []
    for runs, metrics in _rectangles(names):
        columns = await columns_of(storage, project, asked, runs, metrics, started_us)
        for _, pieces in _by_name(columns):
            found += _curves(columns, pieces, runs, metrics, asked.buckets)
    return found


async def columns_of(
    storage: Storage,
    project: str,
    asked: Asked,
    runs: Sequence[str],
    metrics: Sequence[str],
    started_us: Mapping[str, int],
) -> dict[str, Any]:
    """Columns of `curve_points.sql`."""
    ranges = [asked.times_us(started_us.get(run, 0)) for run in runs]
    return await storage.columns(
        "curve_points",
        project=project,
        runs=list(runs),
        run_numbers=list(range(len(runs))),
        metrics=list(metrics),
        metric_numbers=list(range(len(metrics))),
        ranks=asked.ranks,
        min_step=asked.min_step,
        max_step=asked.max_step,
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


def _by_name(columns: dict[str, Any]) -> Iterator[tuple[tuple[int, int], list[tuple[int, int]]]]:
    """(run number, metric number) and the ranges of rows of its ranks."""
    run, metric, rank = columns["run_number"], columns["metric_number"], columns["rank"]
    if not len(run):
        return
    new_name = (run[1:] != run[:-1]) | (metric[1:] != metric[:-1])
    edges = np.flatnonzero(new_name | (rank[1:] != rank[:-1])) + 1
    pieces = list(zip([0, *edges.tolist()], [*edges.tolist(), len(run)], strict=True))
    together: list[tuple[int, int]] = []
    for start, end in pieces:
        if together and (run[start], metric[start]) != (run[together[0][0]], metric[together[0][0]]):
            yield (int(run[together[0][0]]), int(metric[together[0][0]])), together
            together = []
        together.append((start, end))
    yield (int(run[together[0][0]]), int(metric[together[0][0]])), together


def _curves(
    columns: dict[str, Any], pieces: list[tuple[int, int]], runs: Sequence[str], metrics: Sequence[str], buckets: int
) -> Iterator[Curve]:
    """The ranks of one metric share their buckets' width; point by point where none has more points than buckets."""
    steps, start, end = columns["step"], pieces[0][0], pieces[-1][1]
    if max(high - low for low, high in pieces) <= buckets:
        width = 1
    else:
        width = width_for(int(steps[start:end].min()), int(steps[start:end].max()), buckets)
    for low, high in pieces:
        own = steps[low:high]
        yield Curve(
            runs[int(columns["run_number"][low])],
            metrics[int(columns["metric_number"][low])],
            int(columns["rank"][low]),
            width,
            from_points((own + GRID) // width, own, columns["value"][low:high], columns["time_us"][low:high]),
        )
