"""Read one series in buckets of one width by a plan: cells of roll-ups, and points in the other ranges."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from runstream_common.limits import MAX_TIME_US
from runstream_query.base.storage import ONE_THREAD
from runstream_query.curves.buckets import NAMES, Buckets, from_columns, from_points, merge
from runstream_query.curves.curve import Curve
from runstream_query.curves.readers.curve_reader import ReadContext, beside
from runstream_query.curves.readers.engine_buckets import EACH_RANK, engine_buckets
from runstream_query.curves.series_plan import RolledCells, SeriesPlan, split
from runstream_query.curves.spans import Span, clip, union
from runstream_query.curves.widths import GRID

_MAX_FETCHED = 65_536
"""Steps of the longest range whose points are fetched: sending them takes no longer than planning buckets takes."""
_MAX_SPANS = 24
"""Ranges that are read from points, each by its own query. Two or three are usual: new points at the end, a seam."""
_NOTHING = from_columns(dict.fromkeys(NAMES, ()))


class SeriesReader:
    """Read `steps`, a range of the series of one rank, in buckets of `width` steps."""

    def __init__(self, context: ReadContext, run: str, metric: str, rank: int, steps: Span, width: int) -> None:
        self._context = context
        self._run = run
        self._metric = metric
        self._rank = rank
        self._steps = steps
        self._width = width
        self._min_us, self._max_us = context.times_us(run)

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters of SQL files that name the series."""
        return {"project": self._context.project, "run": self._run, "metric": self._metric, "rank": self._rank}

    async def curve(self, pieces: list[Buckets] | None) -> Curve:
        """Return one curve of the pieces of `by_plan`. Where these are None, all points are read."""
        if pieces is None:
            pieces = [await self._points(self._steps)]
        return Curve(self._run, self._metric, self._rank, self._width, merge(pieces) if pieces else _NOTHING)

    async def by_plan(self, plan: SeriesPlan) -> list[Buckets] | None:
        """Return the series in pieces that share no step; None where all its points must be read."""
        cells, rest = split(plan, self._steps, self._width)
        if not cells or len(rest) > _MAX_SPANS:
            return None
        async with beside(self._cells(cells)) as reading:
            if self._bounded:
                # Cells across an end of the range of times are known only when all cells are read; their points are
                # read with the rest.
                _, edges = await reading
                rest = union([*rest, *edges])
                if len(rest) > _MAX_SPANS:
                    return None  # much of the series is rewritten, or its times jump
            pieces = await asyncio.gather(*(self._points(span) for span in rest))
            rolled, _ = await reading
        return [buckets for buckets in (rolled, *pieces) if len(buckets)]

    @property
    def _bounded(self) -> bool:
        """True when a range of times is requested."""
        return self._min_us > 0 or self._max_us < MAX_TIME_US

    async def _cells(self, pieces: list[RolledCells]) -> tuple[Buckets, list[Span]]:
        """Return the cells as buckets of the wanted width, and the ranges of cells that are left out.

        Cells that lie across an end of the range of times are left out.
        """
        pairs = sorted({(piece.part, piece.width) for piece in pieces})
        parts = [part for part, _ in pairs]
        columns = await self._context.storage.columns(
            "rolled_cells",
            settings=ONE_THREAD,
            **self.parameters,
            parts=parts,
            cells=pairs,
            first_cell=min(piece.cells.low for piece in pieces),
            last_cell=max(piece.cells.high for piece in pieces),
        )
        number, cell = columns["part_number"], columns["cell_number"]
        earliest_us, latest_us = columns["earliest_us"], columns["latest_us"]
        inside = (earliest_us >= self._min_us) & (latest_us <= self._max_us)
        across = ~inside & (earliest_us <= self._max_us) & (latest_us >= self._min_us)
        wanted, edges = np.zeros(len(cell), dtype=bool), []
        for piece in pieces:
            own = (number == parts.index(piece.part) + 1) & (cell >= piece.cells.low) & (cell <= piece.cells.high)
            wanted |= own & inside
            for low in (cell[own & across] * piece.width).tolist():
                edges.append(clip(Span(low, low + piece.width - 1), *piece.covers))
        widths = np.array([width for _, width in pairs], dtype=np.int64)
        buckets = self._as_buckets({name: column[wanted] for name, column in columns.items()}, widths)
        return buckets, [span for span in edges if span]

    def _as_buckets(self, cells: dict[str, Any], widths: Any) -> Buckets:
        """Return cells as buckets, several of which may have one number. `widths`: of the cells of each part."""
        cell_widths = widths[cells["part_number"].astype(np.int64) - 1]
        points, finite = cells["points"].astype(np.int64), cells["finite"].astype(np.int64)
        return from_columns(
            {
                **cells,
                "bucket": (cells["cell_number"] * cell_widths + GRID) // self._width,
                "finite": finite,
                "not_finite": points - finite,
                "steps": points,
            }
        )

    async def _points(self, span: Span) -> Buckets:
        """Return the points of a range in buckets."""
        if span.high - span.low < _MAX_FETCHED:
            return await self._fetched(span)
        curves = await engine_buckets(
            self._context, EACH_RANK, self._run, [self._metric], self._width, span, [self._rank]
        )
        return curves[0].buckets if curves else _NOTHING

    async def _fetched(self, span: Span) -> Buckets:
        """Fetch the points of a short range, and put them into buckets here."""
        columns = await self._context.storage.columns(
            "span_points", settings=ONE_THREAD, **self.parameters, min_step=span.low, max_step=span.high
        )
        inside = (columns["time_us"] >= self._min_us) & (columns["time_us"] <= self._max_us)
        order = np.argsort(columns["step"][inside], kind="stable")
        steps, values, times_us = (columns[name][inside][order] for name in ("step", "value", "time_us"))
        return from_points((steps + GRID) // self._width, steps, values, times_us)
