"""Read a long metric of which some ranks have roll-ups.

The result is true at the moment in which the parts were listed, or later: the parts that are relied on are listed
before and after it is looked up which other parts have points. The name of a part that is gone never comes back.
"""

from __future__ import annotations

from collections.abc import Sequence

from runstream_query.base.storage import ONE_THREAD, Storage
from runstream_query.curves.buckets import Buckets
from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_plan import KnownSeries
from runstream_query.curves.plan_cache import PlanCache
from runstream_query.curves.readers.curve_reader import ReadContext, beside
from runstream_query.curves.readers.engine_buckets import EACH_RANK, engine_buckets
from runstream_query.curves.readers.series_reader import SeriesReader
from runstream_query.curves.series_plan import SeriesPart, SeriesPlan, series_part
from runstream_query.curves.spans import Span, clip
from runstream_query.curves.widths import width_for

_ATTEMPTS = 3
"""Attempts to read while no part disappears. Merges end every few seconds; after the last attempt points are read."""


class RollupReader:
    """Read series one after the other, and remember how a series is read where it has a single rank.

    `most_ranks`: the largest number of requested ranks that a metric of the request has.
    """

    def __init__(self, context: ReadContext, cache: PlanCache, most_ranks: int) -> None:
        self._context = context
        self._cache = cache
        self._most_ranks = most_ranks

    async def read(self, series: Sequence[KnownSeries]) -> list[Curve]:
        return [curve for one in series for curve in await self._metric(one)]

    async def _metric(self, series: KnownSeries) -> list[Curve]:
        """Return the curves of all ranks; those that have no roll-ups are put into buckets by the engine."""
        steps = await self._range(series)
        if steps is None:
            return []
        width = width_for(*steps, self._context.query.buckets)
        curves = [await self._rank(series, rank, steps, width) for rank in series.rolled]
        if len(series.rolled) < self._most_ranks and (others := await self._other_ranks(series)):
            curves += await engine_buckets(self._context, EACH_RANK, series.run, [series.metric], width, steps, others)
        return [curve for curve in curves if len(curve.buckets)]

    async def _range(self, series: KnownSeries) -> Span | None:
        """Return the range of steps to read. It is looked up where it is unknown, or a range of times is requested."""
        query, extent = self._context.query, series.extent
        if extent is None or query.by_time:
            spans = [span for rank, parts in series.rolled.items() for span in await self._extent(series, rank, parts)]
            if not spans:
                return None
            extent = Span(min(span.low for span in spans), max(span.high for span in spans))
        return clip(extent, *query.steps)

    async def _extent(self, series: KnownSeries, rank: int, parts: Sequence[SeriesPart]) -> list[Span]:
        """Return the range of a rank in the requested ranges of steps and times; empty where it has no points there."""
        query = self._context.query
        min_us, max_us = self._context.times_us(series.run)
        rows = await self._context.storage.rows(
            "rolled_extent",
            project=self._context.project,
            run=series.run,
            metric=series.metric,
            rank=rank,
            parts=[part.name for part in parts],
            min_step=query.min_step,
            max_step=query.max_step,
            min_us=min_us,
            max_us=max_us,
        )
        return [Span(row["low_step"], row["high_step"]) for row in rows]

    async def _other_ranks(self, series: KnownSeries) -> list[int]:
        """Return the requested ranks of a metric that have no roll-ups."""
        rows = await self._context.storage.rows(
            "ranks_of", project=self._context.project, run=series.run, metric=series.metric
        )
        known = {row["rank"] for row in rows}
        wanted = set(self._context.query.ranks) or known
        return sorted(known & wanted - series.rolled.keys())

    async def _rank(self, series: KnownSeries, rank: int, steps: Span, width: int) -> Curve:
        reader = SeriesReader(self._context, series.run, series.metric, rank, steps, width)
        return await reader.curve(await self._pieces(reader, series, rank, steps, width))

    async def _pieces(
        self, reader: SeriesReader, series: KnownSeries, rank: int, steps: Span, width: int
    ) -> list[Buckets] | None:
        """Return the pieces of a series by a plan that held while it was read; None where there is no such plan."""
        storage = self._context.storage
        usable = [part for part in series.rolled[rank] if part.resolution(width)]
        for _ in range(_ATTEMPTS):
            if not usable:
                return None
            names = [part.name for part in usable]
            rows = await storage.rows(
                "other_parts",
                settings=ONE_THREAD,
                **reader.parameters,
                parts=names,
                min_step=steps.low,
                max_step=steps.high,
            )
            plan = SeriesPlan(rank, steps, usable, [series_part(row) for row in rows])
            # Roll-ups do not change, so they are read while another query checks that the parts still exist.
            async with beside(reader.by_plan(plan)) as reading:
                alive = await parts_alive(storage, names)
                if len(alive) == len(set(names)):
                    self._remember(series, plan)
                    return await reading
            # A part was merged away meanwhile: the new part was not among the others, or has no roll-ups yet.
            usable = [part for part in usable if part.name in alive]
        return None

    def _remember(self, series: KnownSeries, plan: SeriesPlan) -> None:
        """Remember the plan where it covers the whole series, and no other rank has logged the metric."""
        query = self._context.query
        if series.extent == plan.extent and self._most_ranks == 1 and not query.ranks and not query.by_time:
            self._cache.remember((self._context.project, series.run, series.metric), plan)


async def parts_alive(storage: Storage, parts: list[str]) -> set[str]:
    """Return those of these parts of `points` that exist. Raises StorageError."""
    return {row["name"] for row in await storage.rows("parts_alive", settings=ONE_THREAD, parts=parts)}
