"""Finds the range of steps of series.

The table `series` has it; for rows from before it did, the points are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runstream_query.base.storage import ONE_THREAD, Storage
from runstream_query.curves.spans import Span

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


def clip(span: Span, low: int, high: int) -> Span | None:
    """Return the part of `span` from `low` to `high`; None where there is none."""
    found = Span(max(span.low, low), min(span.high, high))
    return found if found.low <= found.high else None


async def span_of(storage: Storage, project: str, run: str, metric: str, low: int, high: int) -> Span | None:
    """Return the range of a metric over all its ranks, within a range of steps; None where it has no points there."""
    rows = await extents(storage, project, [run], [metric])
    if not rows:
        return None
    span = known_span(rows[0])
    if span is not None:
        return clip(span, low, high)
    scanned = await storage.rows(
        "scanned_extent",
        project=project,
        run=run,
        metrics=[metric],
        ranks=[],
        min_step=low,
        max_step=high,
        min_us=0,
        max_us=1 << 62,
    )
    return Span(scanned[0]["low_step"], scanned[0]["high_step"]) if scanned else None
