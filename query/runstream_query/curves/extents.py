"""Find the range of steps of series.

The table `series` has it; for rows from before it did, the points are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runstream_query.base.storage import ONE_THREAD, Storage
from runstream_query.curves.spans import Span, clip

_UNKNOWN = -(1 << 63)


async def extents(
    storage: Storage, project: str, runs: Sequence[str], metrics: Sequence[str], ranks: Sequence[int] = ()
) -> list[dict[str, Any]]:
    """Return rows of `series_extent.sql`, sorted by run and metric. `ranks`: empty for all."""
    parameters = {"project": project, "runs": list(runs), "metrics": list(metrics), "ranks": list(ranks)}
    rows = await storage.rows("series_extent", settings=ONE_THREAD, **parameters)
    return sorted(rows, key=lambda row: (row["run"], row["metric"]))


def known_span(row: Mapping[str, Any]) -> Span | None:
    """Return the range of a row of `series_extent.sql`; None where it is not known."""
    return None if row["low_step"] == _UNKNOWN else Span(row["low_step"], row["high_step"])


async def span_of(storage: Storage, project: str, run: str, metric: str, low: int, high: int) -> Span | None:
    """Return the range of a metric over all its ranks, within a range of steps; None where it has no points there."""
    rows = await extents(storage, project, [run], [metric])
    if not rows:
        return None
    span = known_span(rows[0])
    if span is not None:
        return clip(span, low, high)
    scanned = await scanned_extents(storage, project, run, [metric], Span(low, high))
    return scanned.get(metric)


async def scanned_extents(
    storage: Storage,
    project: str,
    run: str,
    metrics: Sequence[str],
    steps: Span,
    ranks: Sequence[int] = (),
    times_us: tuple[int, int] = (0, 1 << 62),
) -> dict[str, Span]:
    """Return the ranges of metrics within ranges of steps and times, by reading their points; none for no points."""
    rows = await storage.rows(
        "scanned_extent",
        project=project,
        run=run,
        metrics=list(metrics),
        ranks=list(ranks),
        min_step=steps.low,
        max_step=steps.high,
        min_us=times_us[0],
        max_us=times_us[1],
    )
    return {row["metric"]: Span(row["low_step"], row["high_step"]) for row in rows}
