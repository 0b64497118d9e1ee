"""Read long series, and means over ranks: the engine puts points into buckets."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from runstream_query.curves.buckets import from_columns
from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_plan import KnownSeries
from runstream_query.curves.extents import scanned_extents
from runstream_query.curves.readers.curve_reader import ReadContext
from runstream_query.curves.spans import Span, clip
from runstream_query.curves.widths import GRID, width_for

EACH_RANK, RANK_MEAN = "curve_buckets", "curve_buckets_mean"
"""The SQL files: one curve a rank, and the mean over ranks."""


class EngineBucketReader:
    """Read series of one run. `statement`: EACH_RANK or RANK_MEAN."""

    def __init__(self, context: ReadContext, statement: str) -> None:
        self._context = context
        self._statement = statement

    async def read(self, series: Sequence[KnownSeries]) -> list[Curve]:
        run, query = series[0].run, self._context.query
        metrics_of: dict[int, list[str]] = defaultdict(list)
        for metric, span in (await self._spans(run, series)).items():
            metrics_of[width_for(*span, query.buckets)].append(metric)
        answers = await asyncio.gather(
            *(
                engine_buckets(self._context, self._statement, run, metrics, width, query.steps)
                for width, metrics in metrics_of.items()
            )
        )
        curves = [curve for answer in answers for curve in answer]
        coarse = sorted({curve.metric for curve in curves if self._could_be_finer(curve)})
        if not coarse:
            return curves
        fine = await engine_buckets(self._context, self._statement, run, coarse, 1, query.steps)
        return [curve for curve in curves if curve.metric not in coarse] + fine

    async def _spans(self, run: str, series: Sequence[KnownSeries]) -> Mapping[str, Span]:
        """Return the range of each metric within the requested steps.

        A range is looked up where it is not known, or where a range of times is requested.
        """
        context, query = self._context, self._context.query
        extents = {one.metric: one.extent for one in series}
        known = {metric: span for metric, span in extents.items() if span is not None and not query.by_time}
        spans = {metric: inside for metric, span in known.items() if (inside := clip(span, *query.steps))}
        if unknown := sorted(extents.keys() - known.keys()):
            spans |= await scanned_extents(
                context.storage, context.project, run, unknown, query.steps, query.ranks, context.times_us(run)
            )
        return spans

    def _could_be_finer(self, curve: Curve) -> bool:
        """Return True where some points share a bucket although there are buckets enough: the points lie far apart."""
        return len(curve.buckets) < int(curve.buckets.steps.sum()) <= self._context.query.buckets


async def engine_buckets(
    context: ReadContext,
    statement: str,
    run: str,
    metrics: Sequence[str],
    width: int,
    steps: Span,
    ranks: Sequence[int] | None = None,
) -> list[Curve]:
    """Return the curves of these metrics in buckets of one width. `ranks`: None for the requested ones."""
    min_us, max_us = context.times_us(run)
    columns = await context.storage.columns(
        statement,
        project=context.project,
        run=run,
        metrics=list(metrics),
        ranks=list(context.query.ranks if ranks is None else ranks),
        min_step=steps.low,
        max_step=steps.high,
        min_us=min_us,
        max_us=max_us,
        width=width,
        grid=GRID,
    )
    metric, rank = columns["metric"], columns["rank"]
    if not len(rank):
        return []
    whole = from_columns(columns)
    edges = (np.flatnonzero((metric[1:] != metric[:-1]) | (rank[1:] != rank[:-1])) + 1).tolist()
    return [
        Curve(run, str(metric[start]), int(rank[start]), width, whole.part(start, end))
        for start, end in zip([0, *edges], [*edges, len(rank)], strict=True)
    ]
