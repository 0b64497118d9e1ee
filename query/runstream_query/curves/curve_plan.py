"""Plan an answer to `GetCurves`: which series are read in which way, and which of them at the same time."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from runstream_query.base.storage import ONE_THREAD, Storage
from runstream_query.curves.curve_query import CurveQuery
from runstream_query.curves.extents import extents, known_span
from runstream_query.curves.plan_cache import PlanCache
from runstream_query.curves.series_plan import SeriesPart, SeriesPlan, series_part
from runstream_query.curves.spans import Span

MAX_SHORT = 65_536
"""Points of the longest series that is read whole."""
MAX_READ = 3_000_000
"""Points of all series that are read whole for one answer: 90 MB."""
_FEW = 20
"""For so few series, roll-ups are looked up before it is known which series are long."""
RolledParts = Mapping[int, list[SeriesPart]]
"""Parts with roll-ups of a metric of a run, by rank."""


class Strategy(Enum):
    """Name a way in which series are read. Each has a reader in `readers/`."""

    WHOLE_SERIES = auto()
    """Fetch all points, and put them into buckets here."""
    RANK_MEANS = auto()
    """Let the engine average over ranks, and put the means into buckets."""
    ENGINE_BUCKETS = auto()
    """Let the engine put the points of each rank into buckets."""
    ROLLUPS = auto()
    """Read roll-ups, and points where roll-ups are not valid."""
    REMEMBERED = auto()
    """Do the same by a plan that is remembered, and check beside it that the plan still holds."""
    METRIC_AXIS = auto()
    """Fetch all points, and join them with those of the metric on the axis."""


@dataclass(frozen=True, slots=True)
class KnownSeries:
    """Hold what is known of a metric of a run before it is read."""

    run: str
    metric: str
    ranks: int = 0
    """The number of requested ranks that have logged it."""
    extent: Span | None = None
    """The range of its steps over these ranks; None where it is not known."""
    rolled: RolledParts = field(default_factory=dict)
    remembered: SeriesPlan | None = None


@dataclass(frozen=True, slots=True)
class PlannedRead:
    """Name series that one reader reads together. They are of one run, except for `WHOLE_SERIES` and `METRIC_AXIS`."""

    strategy: Strategy
    series: list[KnownSeries]


@dataclass(frozen=True, slots=True)
class CurvePlan:
    """Say how an answer is read: which series in which way, and in which order."""

    sequences: list[list[PlannedRead]]
    """Sequences are read at the same time; the reads of one sequence, one after the other."""
    most_ranks: int = 0
    """The largest number of requested ranks that have logged a metric."""


def remembered_plan(project: str, query: CurveQuery, cache: PlanCache) -> CurvePlan | None:
    """Return a plan of remembered plans; None where a series is not remembered, or is read in another way."""
    if query.by_time or query.by_metric or query.ranks:
        return None
    plans = cache.plans_of(project, query.runs, query.metrics)
    if plans is None or any(_most_points(plan.extent, query) <= MAX_SHORT for plan in plans.values()):
        return None
    series = [KnownSeries(run, metric, 1, plan.extent, remembered=plan) for (_, run, metric), plan in plans.items()]
    return CurvePlan([[PlannedRead(Strategy.REMEMBERED, series)]])


async def make_plan(storage: Storage, project: str, query: CurveQuery) -> CurvePlan:
    """Look up what is known of the series, and return a plan. Raises StorageError."""
    if query.by_metric:
        named = [KnownSeries(run, metric) for run in query.runs for metric in query.metrics]
        return CurvePlan([[PlannedRead(Strategy.METRIC_AXIS, named)]])
    if len(query.runs) * len(query.metrics) <= _FEW:
        known, rolled = await asyncio.gather(
            _known_series(storage, project, query), _rolled_parts(storage, project, query, query.runs)
        )
        chosen = choose(known, query)
    else:
        known = await _known_series(storage, project, query)
        chosen = choose(known, query)
        long_runs = sorted({series.run for series in chosen[Strategy.ENGINE_BUCKETS]})
        rolled = await _rolled_parts(storage, project, query, long_runs) if long_runs else {}
    return arrange(chosen, rolled, max((series.ranks for series in known), default=0))


def choose(known: Sequence[KnownSeries], query: CurveQuery) -> dict[Strategy, list[KnownSeries]]:
    """Return the series by strategy, roll-ups aside. It is pure."""
    chosen: dict[Strategy, list[KnownSeries]] = defaultdict(list)
    total = 0.0
    for series in known:
        if not query.each_rank and series.ranks > 1:
            chosen[Strategy.RANK_MEANS].append(series)
            continue
        most = _most_points(series.extent, query)
        if most <= MAX_SHORT and total + most * series.ranks <= MAX_READ:
            total += most * series.ranks
            chosen[Strategy.WHOLE_SERIES].append(series)
        else:
            chosen[Strategy.ENGINE_BUCKETS].append(series)
    return chosen


def arrange(
    chosen: Mapping[Strategy, Sequence[KnownSeries]],
    rolled: Mapping[tuple[str, str], RolledParts],
    most_ranks: int,
) -> CurvePlan:
    """Return the plan of series whose strategies are chosen; those of the engine that have roll-ups use them.

    `rolled`: the parts with roll-ups, by run and metric. The reads of all long series of a run are one sequence. So the
    number of queries at the same time grows with the runs, and not with the metrics. It is pure.
    """
    sequences: list[list[PlannedRead]] = []
    if whole := chosen.get(Strategy.WHOLE_SERIES):
        sequences.append([PlannedRead(Strategy.WHOLE_SERIES, list(whole))])
    means = _by_run(chosen.get(Strategy.RANK_MEANS, ()))
    long = _by_run(chosen.get(Strategy.ENGINE_BUCKETS, ()))
    for run in sorted(means.keys() | long.keys()):
        if run in means:
            sequences.append([PlannedRead(Strategy.RANK_MEANS, means[run])])
        if run in long:
            plain = [series for series in long[run] if (run, series.metric) not in rolled]
            reads = [PlannedRead(Strategy.ENGINE_BUCKETS, plain)] if plain else []
            for series in long[run]:
                if parts := rolled.get((run, series.metric)):
                    reads.append(PlannedRead(Strategy.ROLLUPS, [replace(series, rolled=parts)]))
            sequences.append(reads)
    return CurvePlan(sequences, most_ranks)


async def _known_series(storage: Storage, project: str, query: CurveQuery) -> list[KnownSeries]:
    rows = await extents(storage, project, query.runs, query.metrics, query.ranks)
    return [KnownSeries(row["run"], row["metric"], row["ranks"], known_span(row)) for row in rows]


async def _rolled_parts(
    storage: Storage, project: str, query: CurveQuery, runs: Sequence[str]
) -> dict[tuple[str, str], RolledParts]:
    """Return the parts with roll-ups of each series, by run and metric."""
    rows = await storage.rows(
        "rolled_series",
        settings=ONE_THREAD,
        project=project,
        runs=list(runs),
        metrics=query.metrics,
        ranks=query.ranks,
    )
    rolled: dict[tuple[str, str], dict[int, list[SeriesPart]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        rolled[row["run"], row["metric"]][row["rank"]].append(series_part(row))
    return dict(rolled)


def _by_run(series: Sequence[KnownSeries]) -> dict[str, list[KnownSeries]]:
    by_run: dict[str, list[KnownSeries]] = defaultdict(list)
    for one in series:
        by_run[one.run].append(one)
    return by_run


def _most_points(extent: Span | None, query: CurveQuery) -> float:
    """Return the number of steps in the requested range: a rank has no more points there."""
    if extent is None:
        return math.inf
    return max(min(extent.high, query.max_step) - max(extent.low, query.min_step) + 1, 0)
