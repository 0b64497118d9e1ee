"""Reads long series and means over ranks: the engine puts points into buckets, or roll-ups replace the points."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runstream_query.base.storage import ONE_THREAD, Storage
from runstream_query.curves.buckets import NAMES, Buckets, from_columns, from_points, merge
from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_query import CurveQuery
from runstream_query.curves.extents import clip
from runstream_query.curves.plan_cache import PlanCache, SeriesPlan
from runstream_query.curves.readers.rollup_reader import ReadPoints, Series, composed_buckets, rolled_buckets
from runstream_query.curves.spans import Span
from runstream_query.curves.widths import GRID, width_for

_MAX_FETCHED = 65_536
"""Steps of the longest range whose points are fetched: sending them takes no longer than planning buckets takes."""


class Binned:
    """Reads binned curves of one run.

    `extent`: the range of steps of each metric, None where it must be looked up.
    """

    def __init__(
        self,
        storage: Storage,
        project: str,
        run: str,
        asked: CurveQuery,
        started_us: int,
        recent: PlanCache,
    ) -> None:
        self._storage = storage
        self._recent = recent
        self._asked = asked
        self._run = run
        min_us, max_us = asked.times_us(started_us)
        self._times: dict[str, Any] = {"min_us": min_us, "max_us": max_us}
        self._common: dict[str, Any] = {"project": project, "run": run, "ranks": asked.ranks, **self._times}

    async def means(self, extent: Mapping[str, Span | None]) -> list[Curve]:
        """Return a curve of the mean over ranks for each metric."""
        return await self._binned("curve_buckets_mean", await self._spans(extent))

    async def each(self, extent: Mapping[str, Span | None], rows: Sequence[dict[str, Any]], ranks: int) -> list[Curve]:
        """Return a curve for each rank of each metric.

        `rows`: rows of `rolled_series.sql`. `ranks`: the largest number of requested ranks that a metric has.
        """
        rolled: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            rolled[row["metric"]][row["rank"]].append(row)
        plain = {metric: span for metric, span in extent.items() if metric not in rolled}
        found = await self._binned("curve_buckets", await self._spans(plain)) if plain else []
        for metric, having in rolled.items():
            found += await self._rolled(metric, extent[metric], having, ranks)
        return found

    async def _spans(self, extent: Mapping[str, Span | None]) -> dict[str, Span]:
        """Return the range of each metric within the requested steps.

        A range is looked up where it is not known, or where a range of times is requested.
        """
        low, high = self._asked.min_step, self._asked.max_step
        known = {metric: span for metric, span in extent.items() if span is not None and not self._asked.by_time}
        spans = {metric: inside for metric, span in known.items() if (inside := clip(span, low, high))}
        unknown = sorted(extent.keys() - known.keys())
        if unknown:
            for row in await self._storage.rows(
                "scanned_extent", **self._common, metrics=unknown, min_step=low, max_step=high
            ):
                spans[row["metric"]] = Span(row["low_step"], row["high_step"])
        return spans

    async def _binned(self, query: str, spans: Mapping[str, Span]) -> list[Curve]:
        """Return the curves of these metrics; metrics with buckets of the same width are read by one query."""
        by_width: dict[int, list[str]] = defaultdict(list)
        for metric, span in spans.items():
            by_width[width_for(*span, self._asked.buckets)].append(metric)
        answers = await asyncio.gather(
            *(self._query(query, metrics, width, self._range) for width, metrics in by_width.items())
        )
        found = [curve for answer in answers for curve in answer]
        coarse = sorted({curve.metric for curve in found if self._could_be_finer(curve)})
        if not coarse:
            return found
        fine = await self._query(query, coarse, 1, self._range)
        return [curve for curve in found if curve.metric not in coarse] + fine

    def _could_be_finer(self, curve: Curve) -> bool:
        """Return True where some points share a bucket although there are buckets enough: the points lie far apart."""
        return len(curve.buckets) < int(curve.buckets.steps.sum()) <= self._asked.buckets

    @property
    def _range(self) -> Span:
        return Span(self._asked.min_step, self._asked.max_step)

    async def _query(
        self, query: str, metrics: Sequence[str], width: int, steps: Span, ranks: list[int] | None = None
    ) -> list[Curve]:
        common = self._common if ranks is None else {**self._common, "ranks": ranks}
        columns = await self._storage.columns(
            query, **common, metrics=list(metrics), min_step=steps.low, max_step=steps.high, width=width, grid=GRID
        )
        metric, rank = columns["metric"], columns["rank"]
        if not len(rank):
            return []
        whole = from_columns(columns)
        edges = (np.flatnonzero((metric[1:] != metric[:-1]) | (rank[1:] != rank[:-1])) + 1).tolist()
        return [
            Curve(self._run, str(metric[start]), int(rank[start]), width, whole.part(start, end))
            for start, end in zip([0, *edges], [*edges, len(rank)], strict=True)
        ]

    async def _rolled(
        self, metric: str, extent: Span | None, ranks: Mapping[int, list[dict[str, Any]]], most: int
    ) -> list[Curve]:
        """Return the curves of a metric of which some ranks have roll-ups; the other ranks are read without."""
        spans = await self._rolled_spans(metric, extent, ranks)
        if spans is None:
            return []
        width = width_for(*spans, self._asked.buckets)
        found = [
            await self._rolled_curve(metric, rank, spans, width, rows, alone=extent == spans and most == 1)
            for rank, rows in ranks.items()
        ]
        if len(ranks) < most and (others := await self._other_ranks(metric, ranks)):
            found += await self._query("curve_buckets", [metric], width, spans, others)
        return [curve for curve in found if len(curve.buckets)]

    async def _other_ranks(self, metric: str, rolled: Mapping[int, Any]) -> list[int]:
        """Return the requested ranks of a metric that have no roll-ups."""
        known = await self._storage.rows("ranks_of", project=self._common["project"], run=self._run, metric=metric)
        wanted = set(self._asked.ranks) or {row["rank"] for row in known}
        return sorted({row["rank"] for row in known} & wanted - rolled.keys())

    async def _rolled_spans(
        self, metric: str, extent: Span | None, ranks: Mapping[int, list[dict[str, Any]]]
    ) -> Span | None:
        if extent is None or self._asked.by_time:
            rows = [row for rank in ranks for row in await self._rolled_extent(metric, rank, ranks[rank])]
            if not rows:
                return None
            extent = Span(min(row["low_step"] for row in rows), max(row["high_step"] for row in rows))
        return clip(extent, self._asked.min_step, self._asked.max_step)

    async def _rolled_extent(self, metric: str, rank: int, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return await self._storage.rows(
            "rolled_extent",
            project=self._common["project"],
            run=self._run,
            metric=metric,
            rank=rank,
            parts=[row["part"] for row in rows],
            min_step=self._asked.min_step,
            max_step=self._asked.max_step,
            **self._times,
        )

    async def again(self, metric: str, plan: SeriesPlan) -> list[Curve]:
        """Return the curve of a metric whose plan is remembered; empty where no step is in the range."""
        steps = clip(plan.extent, self._asked.min_step, self._asked.max_step)
        if steps is None:
            return []
        width = width_for(*steps, self._asked.buckets)
        series, read_points = self._series(metric, plan.rank, steps), self._reader(metric, plan.rank, width)
        pieces = await composed_buckets(self._storage, series, plan.rolled, plan.others, width, read_points)
        curve = await self._put_together(series, width, pieces)
        return [curve] if len(curve.buckets) else []

    async def _rolled_curve(
        self, metric: str, rank: int, steps: Span, width: int, rows: list[dict[str, Any]], *, alone: bool
    ) -> Curve:
        """Return the curve of one rank.

        `alone`: no other rank has logged the metric, and `steps` is the whole range of the metric.
        """

        def remember(rolled: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
            if alone and not self._asked.ranks and not self._asked.by_time:
                name = self._common["project"], self._run, metric
                self._recent.remember(name, SeriesPlan(rank, steps, rolled, others))

        series, read_points = self._series(metric, rank, steps), self._reader(metric, rank, width)
        pieces = await rolled_buckets(self._storage, series, rows, width, read_points, remember)
        return await self._put_together(series, width, pieces)

    def _series(self, metric: str, rank: int, steps: Span) -> Series:
        return Series(self._common["project"], self._run, metric, rank, steps, **self._times)

    def _reader(self, metric: str, rank: int, width: int) -> ReadPoints:
        async def read_points(span: Span) -> Buckets:
            if span.high - span.low < _MAX_FETCHED:
                return await self._fetched(self._series(metric, rank, span), span, width)
            curves = await self._query("curve_buckets", [metric], width, span, [rank])
            return curves[0].buckets if curves else _NOTHING

        return read_points

    async def _put_together(self, series: Series, width: int, pieces: list[Buckets] | None) -> Curve:
        """Return one curve of all pieces. `pieces`: None where the points must be read."""
        if pieces is None:
            pieces = [await self._reader(series.metric, series.rank, width)(series.steps)]
        return Curve(self._run, series.metric, series.rank, width, merge(pieces) if pieces else _NOTHING)

    async def _fetched(self, series: Series, span: Span, width: int) -> Buckets:
        """Fetch the points of a short range of a series, and put them into buckets here."""
        columns = await self._storage.columns(
            "span_points", settings=ONE_THREAD, **series.parameters, min_step=span.low, max_step=span.high
        )
        inside = (columns["time_us"] >= series.min_us) & (columns["time_us"] <= series.max_us)
        order = np.argsort(columns["step"][inside], kind="stable")
        steps, values, times_us = (columns[name][inside][order] for name in ("step", "value", "time_us"))
        return from_points((steps + GRID) // width, steps, values, times_us)


_NOTHING = from_columns(dict.fromkeys(NAMES, ()))
