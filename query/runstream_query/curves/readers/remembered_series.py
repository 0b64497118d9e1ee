"""Read long series by plans that are remembered, and check beside it that the plans still hold."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from runstream_query.base.storage import ONE_THREAD
from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_plan import KnownSeries
from runstream_query.curves.plan_cache import PlanCache
from runstream_query.curves.readers.curve_reader import ReadContext, beside
from runstream_query.curves.readers.rollup_reader import parts_alive
from runstream_query.curves.readers.series_reader import SeriesReader
from runstream_query.curves.series_plan import SeriesPlan
from runstream_query.curves.spans import clip
from runstream_query.curves.widths import width_for


class PlanOutdatedError(Exception):
    """Say that a series has changed since its plan was remembered. What was read may be wrong and is not returned."""


class RememberedSeriesReader:
    """Read series whose `remembered` is set."""

    def __init__(self, context: ReadContext, cache: PlanCache) -> None:
        self._context = context
        self._cache = cache

    async def read(self, series: Sequence[KnownSeries]) -> list[Curve]:
        """Return the curves. Raises PlanOutdatedError where a plan holds no longer; it is forgotten then."""
        planned = [(one, one.remembered) for one in series if one.remembered is not None]
        async with beside(asyncio.gather(*(self._curves(one, plan) for one, plan in planned))) as reading:
            if all(await asyncio.gather(*(self._unchanged(one, plan) for one, plan in planned))):
                return [curve for curves in await reading for curve in curves]
            raise PlanOutdatedError

    async def _curves(self, series: KnownSeries, plan: SeriesPlan) -> list[Curve]:
        """Return the curve of a series; empty where no step is in the range."""
        query = self._context.query
        steps = clip(plan.extent, *query.steps)
        if steps is None:
            return []
        width = width_for(*steps, query.buckets)
        reader = SeriesReader(self._context, series.run, series.metric, plan.rank, steps, width)
        curve = await reader.curve(await reader.by_plan(plan))
        return [curve] if len(curve.buckets) else []

    async def _unchanged(self, series: KnownSeries, plan: SeriesPlan) -> bool:
        """Return True when all parts of the plan exist and no other part has points; forget the plan otherwise."""
        storage, project, parts = self._context.storage, self._context.project, plan.parts
        parameters = {"project": project, "run": series.run, "metric": series.metric, "parts": parts}
        elsewhere, alive = await asyncio.gather(
            storage.rows("points_elsewhere", settings=ONE_THREAD, **parameters), parts_alive(storage, parts)
        )
        if not elsewhere and alive == set(parts):
            return True
        self._cache.forget((project, series.run, series.metric))
        return False
