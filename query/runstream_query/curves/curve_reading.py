"""Read the curves of an answer as their plan says, and put them on their axis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_plan import CurvePlan, PlannedRead, Strategy, make_plan, remembered_plan
from runstream_query.curves.plan_cache import PlanCache
from runstream_query.curves.readers.curve_reader import CurveReader, ReadContext
from runstream_query.curves.readers.engine_buckets import EACH_RANK, RANK_MEAN, EngineBucketReader
from runstream_query.curves.readers.metric_axis import MetricAxisReader
from runstream_query.curves.readers.remembered_series import PlanOutdatedError, RememberedSeriesReader
from runstream_query.curves.readers.rollup_reader import RollupReader
from runstream_query.curves.readers.whole_series import WholeSeriesReader


async def curves_of(context: ReadContext, cache: PlanCache) -> list[Curve]:
    """Return all curves that exist, sorted by run, metric and rank. Raises StorageError, QueryError.

    A plan that is remembered is tried first. Where it holds no longer, everything is planned anew.
    """
    remembered = remembered_plan(context.project, context.query, cache)
    if remembered is not None:
        with contextlib.suppress(PlanOutdatedError):
            return await read_plan(remembered, context, cache)
    plan = await make_plan(context.storage, context.project, context.query)
    return await read_plan(plan, context, cache)


async def read_plan(plan: CurvePlan, context: ReadContext, cache: PlanCache) -> list[Curve]:
    """Return the curves of a plan, sorted by run, metric and rank."""
    readers: Mapping[Strategy, CurveReader] = {
        Strategy.WHOLE_SERIES: WholeSeriesReader(context),
        Strategy.RANK_MEANS: EngineBucketReader(context, RANK_MEAN),
        Strategy.ENGINE_BUCKETS: EngineBucketReader(context, EACH_RANK),
        Strategy.ROLLUPS: RollupReader(context, cache, plan.most_ranks),
        Strategy.REMEMBERED: RememberedSeriesReader(context, cache),
        Strategy.METRIC_AXIS: MetricAxisReader(context),
    }
    parts = await asyncio.gather(*(_read_sequence(readers, reads) for reads in plan.sequences))
    curves = [curve for part in parts for curve in part]
    if context.query.by_time:
        curves = [_on_time_axis(curve, context) for curve in curves]
    return sorted(curves, key=lambda curve: (curve.run, curve.metric, curve.rank))


async def _read_sequence(readers: Mapping[Strategy, CurveReader], reads: Sequence[PlannedRead]) -> list[Curve]:
    return [curve for read in reads for curve in await readers[read.strategy].read(read.series)]


def _on_time_axis(curve: Curve, context: ReadContext) -> Curve:
    """Return the curve with the earliest time of each bucket as its place on the axis."""
    origin_us = context.query.origin_us(context.started_us.get(curve.run, 0))
    return replace(curve, xs=(curve.buckets.earliest_us - origin_us) / 1e6)
