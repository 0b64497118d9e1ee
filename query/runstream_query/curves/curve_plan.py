"""Decides for `GetCurves` in which way each series is read, and puts the curves on their axis."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runstream_query.base.storage import ONE_THREAD, Storage
from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_query import Asked
from runstream_query.curves.extents import extents, known_span
from runstream_query.curves.plan_cache import Recent
from runstream_query.curves.readers import metric_axis, whole_series
from runstream_query.curves.readers.engine_buckets import Binned
from runstream_query.curves.spans import Span

MAX_SHORT = 65_536
"""Points of the longest series that is read whole."""
MAX_READ = 3_000_000
"""Points of all series that are read whole for one answer: 90 MB."""
_FEW = 20
"""For so few series, roll-ups are looked up before it is known which series are long."""


async def curves(
    storage: Storage, project: str, asked: Asked, started_us: Mapping[str, int], recent: Recent
) -> list[Curve]:
    """Return all curves that exist, sorted by run, metric and rank.

    `started_us`: when each run began, for an axis of time.
    """
    if asked.by_metric:
        found = await metric_axis.curves(storage, project, asked)
    else:
        found = await _by_step(storage, project, asked, started_us, recent)
    if asked.by_time:
        found = [_timed(curve, asked.origin_us(started_us.get(curve.run, 0))) for curve in found]
    return sorted(found, key=lambda curve: (curve.run, curve.metric, curve.rank))


async def _by_step(
    storage: Storage, project: str, asked: Asked, started_us: Mapping[str, int], recent: Recent
) -> list[Curve]:
    if (found := await _again(storage, project, asked, recent)) is not None:
        return found
    asking = extents(storage, project, asked.runs, asked.metrics, asked.ranks)
    if len(asked.runs) * len(asked.metrics) <= _FEW:
        known, rolled = await asyncio.gather(asking, _rolled(storage, project, asked, asked.runs))
        short, means, long = _sorted_out(known, asked)
    else:
        known = await asking
        short, means, long = _sorted_out(known, asked)
        rolled = await _rolled(storage, project, asked, sorted(long)) if long else []
    most = max((row["ranks"] for row in known), default=0)
    work: list[Any] = [whole_series.read(storage, project, asked, short, started_us)] if short else []
    for run in sorted(means.keys() | long.keys()):
        binned = Binned(storage, project, run, asked, started_us.get(run, 0), recent)
        rows = [row for row in rolled if row["run"] == run and row["metric"] in long[run]] if run in long else []
        work += [binned.means(means[run])] if run in means else []
        work += [binned.each(long[run], rows, most)] if run in long else []
    return [curve for part in await asyncio.gather(*work) for curve in part]


async def _again(storage: Storage, project: str, asked: Asked, recent: Recent) -> list[Curve] | None:
    """Return the curves where all series were charted lately and none has changed since; None otherwise."""
    makeups = recent.all_of(project, asked.runs, asked.metrics)
    if makeups is None or asked.by_time or asked.ranks:
        return None
    if any(_most(makeup.extent, asked) <= MAX_SHORT for makeup in makeups.values()):
        return None
    reading = asyncio.gather(
        *(
            Binned(storage, project, run, asked, 0, recent).again(metric, makeup)
            for (_, run, metric), makeup in makeups.items()
        )
    )
    try:
        if all(await asyncio.gather(*(recent.unchanged(storage, name, makeup) for name, makeup in makeups.items()))):
            return [curve for curves_of in await reading for curve in curves_of]
        return None
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _rolled(storage: Storage, project: str, asked: Asked, runs: list[str]) -> list[dict[str, Any]]:
    question = {"project": project, "runs": runs, "metrics": asked.metrics, "ranks": asked.ranks}
    return await storage.rows("rolled_series", settings=ONE_THREAD, **question)


def _sorted_out(
    rows: list[dict[str, Any]], asked: Asked
) -> tuple[list[whole_series.Name], dict[str, dict[str, Span | None]], dict[str, dict[str, Span | None]]]:
    """Return short series; metrics of several ranks whose mean is requested, by run; and long series, by run."""
    short: list[whole_series.Name] = []
    means: dict[str, dict[str, Span | None]] = defaultdict(dict)
    long: dict[str, dict[str, Span | None]] = defaultdict(dict)
    total = 0
    for row in rows:
        run, metric = row["run"], row["metric"]
        span = known_span(row)
        if not asked.each and row["ranks"] > 1:
            means[run][metric] = span
            continue
        most = _most(span, asked)
        if most <= MAX_SHORT and total + most * row["ranks"] <= MAX_READ:
            total += most * row["ranks"]
            short.append((run, metric))
        else:
            long[run][metric] = span
    return short, means, long


def _most(span: Span | None, asked: Asked) -> float:
    """Return the number of steps in the requested range: no series has more points."""
    if span is None:
        return float("inf")
    return max(min(span.high, asked.max_step) - max(span.low, asked.min_step) + 1, 0)


def _timed(curve: Curve, origin_us: int) -> Curve:
    return replace(curve, xs=(curve.buckets.earliest_us - origin_us) / 1e6)
