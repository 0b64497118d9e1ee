"""Decides for `GetCurves` in which way each series is read, and puts the curves on their axis."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runstream_query.base.storage import ONE_THREAD, Storage
from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_query import CurveQuery
from runstream_query.curves.extents import extents, known_span
from runstream_query.curves.plan_cache import PlanCache
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
    storage: Storage, project: str, query: CurveQuery, started_us: Mapping[str, int], recent: PlanCache
) -> list[Curve]:
    """Return all curves that exist, sorted by run, metric and rank.

    `started_us`: when each run began, for an axis of time.
    """
    if query.by_metric:
        found = await metric_axis.curves(storage, project, query)
    else:
        found = await _by_step(storage, project, query, started_us, recent)
    if query.by_time:
        found = [_timed(curve, query.origin_us(started_us.get(curve.run, 0))) for curve in found]
    return sorted(found, key=lambda curve: (curve.run, curve.metric, curve.rank))


async def _by_step(
    storage: Storage, project: str, query: CurveQuery, started_us: Mapping[str, int], recent: PlanCache
) -> list[Curve]:
    if (found := await _again(storage, project, query, recent)) is not None:
        return found
    asking = extents(storage, project, query.runs, query.metrics, query.ranks)
    if len(query.runs) * len(query.metrics) <= _FEW:
        known, rolled = await asyncio.gather(asking, _rolled(storage, project, query, query.runs))
        short, means, long = _sorted_out(known, query)
    else:
        known = await asking
        short, means, long = _sorted_out(known, query)
        rolled = await _rolled(storage, project, query, sorted(long)) if long else []
    most = max((row["ranks"] for row in known), default=0)
    work: list[Any] = [whole_series.read(storage, project, query, short, started_us)] if short else []
    for run in sorted(means.keys() | long.keys()):
        binned = Binned(storage, project, run, query, started_us.get(run, 0), recent)
        rows = [row for row in rolled if row["run"] == run and row["metric"] in long[run]] if run in long else []
        work += [binned.means(means[run])] if run in means else []
        work += [binned.each(long[run], rows, most)] if run in long else []
    return [curve for part in await asyncio.gather(*work) for curve in part]


async def _again(storage: Storage, project: str, query: CurveQuery, recent: PlanCache) -> list[Curve] | None:
    """Return the curves where all series were charted lately and none has changed since; None otherwise."""
    plans = recent.all_of(project, query.runs, query.metrics)
    if plans is None or query.by_time or query.ranks:
        return None
    if any(_most(plan.extent, query) <= MAX_SHORT for plan in plans.values()):
        return None
    reading = asyncio.gather(
        *(
            Binned(storage, project, run, query, 0, recent).again(metric, plan)
            for (_, run, metric), plan in plans.items()
        )
    )
    try:
        if all(await asyncio.gather(*(recent.unchanged(storage, name, plan) for name, plan in plans.items()))):
            return [curve for curves_of in await reading for curve in curves_of]
        return None
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _rolled(storage: Storage, project: str, query: CurveQuery, runs: list[str]) -> list[dict[str, Any]]:
    parameters = {"project": project, "runs": runs, "metrics": query.metrics, "ranks": query.ranks}
    return await storage.rows("rolled_series", settings=ONE_THREAD, **parameters)


def _sorted_out(
    rows: list[dict[str, Any]], query: CurveQuery
) -> tuple[list[whole_series.Name], dict[str, dict[str, Span | None]], dict[str, dict[str, Span | None]]]:
    """Return short series; metrics of several ranks whose mean is requested, by run; and long series, by run."""
    short: list[whole_series.Name] = []
    means: dict[str, dict[str, Span | None]] = defaultdict(dict)
    long: dict[str, dict[str, Span | None]] = defaultdict(dict)
    total = 0
    for row in rows:
        run, metric = row["run"], row["metric"]
        span = known_span(row)
        if not query.each_rank and row["ranks"] > 1:
            means[run][metric] = span
            continue
        most = _most(span, query)
        if most <= MAX_SHORT and total + most * row["ranks"] <= MAX_READ:
            total += most * row["ranks"]
            short.append((run, metric))
        else:
            long[run][metric] = span
    return short, means, long


def _most(span: Span | None, query: CurveQuery) -> float:
    """Return the number of steps in the requested range: no series has more points."""
    if span is None:
        return float("inf")
    return max(min(span.high, query.max_step) - max(span.low, query.min_step) + 1, 0)


def _timed(curve: Curve, origin_us: int) -> Curve:
    return replace(curve, xs=(curve.buckets.earliest_us - origin_us) / 1e6)
