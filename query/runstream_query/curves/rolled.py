"""A long series from roll-ups where they are true, from its points everywhere else.

A roll-up says what one part of `points` holds of a series, and a part never changes. So in a range of steps in which a
series has points in one part only, and that part exists, its roll-ups are the answer. Where points of several parts
meet (one may supersede the other), where a part has no roll-ups yet, and at the ends of the range that was asked for,
the points themselves are read. What is found is the truth at the moment in which the parts were listed, or later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from runstream_common.limits import MAX_TIME_US
from runstream_query.curves.buckets import Buckets, from_columns
from runstream_query.curves.extents import clip
from runstream_query.curves.spans import Span, subtract, union, whole_cells
from runstream_query.curves.widths import GRID, unit_of
from runstream_query.storage import Storage

_ATTEMPTS = 3
"""Of finding the parts at rest. Merges end every few seconds; then the points are read."""
_MAX_SPANS = 24
"""Ranges that are read from points, each by a query of its own. Two or three are usual: a fresh end, a seam."""
_MAX_PIECES = 24
ReadPoints = Callable[[Span], Awaitable[Buckets]]


@dataclass(frozen=True, slots=True)
class Series:
    """Which, and what of it. Ranges are inclusive."""

    project: str
    run: str
    metric: str
    rank: int
    steps: Span
    min_us: int
    max_us: int

    @property
    def bounded(self) -> bool:
        """Whether a range of times was asked for."""
        return self.min_us > 0 or self.max_us < MAX_TIME_US

    @property
    def parameters(self) -> dict[str, Any]:
        return {"project": self.project, "run": self.run, "metric": self.metric, "rank": self.rank}


@dataclass(frozen=True, slots=True)
class Rolled:
    """Roll-ups of a part that can be used: whole cells of `width` steps, numbers `cells`."""

    part: str
    width: int
    cells: Span

    @property
    def steps(self) -> Span:
        return Span(self.cells.low * self.width, (self.cells.high + 1) * self.width - 1)


async def rolled_buckets(
    storage: Storage, series: Series, known: list[dict[str, Any]], width: int, read_points: ReadPoints
) -> list[Buckets] | None:
    """The whole series in pieces that have no step in common; None: its points must be read, all of them.

    `known`: rows of `rolled_series.sql` for this series; `read_points`: buckets from the points of a range.
    """
    usable = [(row, finest) for row in known if (finest := _resolution(row["widths"], width))]
    for _ in range(_ATTEMPTS):
        if not usable:
            return None
        parts = [row["part"] for row, _ in usable]
        others = await storage.rows(
            "other_parts", **series.parameters, parts=parts, min_step=series.steps.low, max_step=series.steps.high
        )
        plan = _plan(series.steps, usable, others)
        # Whether the parts still exist is asked while their roll-ups are read: those do not change.
        reading = asyncio.ensure_future(_read(storage, series, plan, width, read_points))
        alive = {row["name"] for row in await storage.rows("parts_alive", parts=parts)}
        if len(alive) == len(set(parts)):
            return await reading
        reading.cancel()
        # A part was merged away meanwhile; what it became was not among the others, or came without roll-ups.
        usable = [(row, finest) for row, finest in usable if row["part"] in alive]
    return None


def _resolution(widths: list[int], wanted: int) -> int:
    """The coarsest resolution whose cells fit into buckets of the wanted width; 0: none."""
    return max((width for width in widths if width <= unit_of(wanted)), default=0)


def _plan(asked: Span, usable: list[tuple[dict[str, Any], int]], others: list[dict[str, Any]]) -> list[Rolled]:
    """Cells in which only one part has points."""
    spans = [Span(row["first_step"], row["last_step"]) for row, _ in usable]
    foreign = [Span(row["first_step"], row["last_step"]) for row in others]
    found = []
    for index, (row, width) in enumerate(usable):
        rivals = [*foreign, *spans[:index], *spans[index + 1 :]]
        # A cell reaches beyond the part's own ends: nobody else's points may be in the rest of it either.
        first, last = spans[index].low // width * width, (spans[index].high // width + 1) * width - 1
        for free in subtract(Span(max(first, asked.low), min(last, asked.high)), rivals):
            cells = whole_cells(free, width)
            if cells is not None:
                found.append(Rolled(row["part"], width, cells))
    return found


async def _read(
    storage: Storage, series: Series, plan: list[Rolled], width: int, read_points: ReadPoints
) -> list[Buckets] | None:
    if not 1 <= len(plan) <= _MAX_PIECES:
        return None
    edges: list[Span] = []
    if series.bounded:
        for found in await asyncio.gather(*(_edges(storage, series, piece) for piece in plan)):
            edges += found
    inside = [span for edge in edges if (span := clip(edge, *series.steps))]
    rest = union([*subtract(series.steps, [piece.steps for piece in plan]), *inside])
    if len(rest) > _MAX_SPANS:
        return None  # much of it is rewritten, or its times jump back and forth
    read = await asyncio.gather(
        *(_read_piece(storage, series, piece, width) for piece in plan), *(read_points(span) for span in rest)
    )
    return [buckets for buckets in read if len(buckets)]


async def _edges(storage: Storage, series: Series, piece: Rolled) -> list[Span]:
    """Cells that lie across an end of the range of times; one more than may be, where there are too many."""
    rows = await storage.rows("rolled_edges", **_wanted(series, piece), limit=_MAX_SPANS + 1)
    numbers = [row["cell_number"] for row in rows]
    return [Span(number * piece.width, (number + 1) * piece.width - 1) for number in numbers]


async def _read_piece(storage: Storage, series: Series, piece: Rolled, width: int) -> Buckets:
    """Without the cells that lie across an end of the range of times."""
    return _as_buckets(await storage.columns("rolled_buckets", **_wanted(series, piece), width=width, grid=GRID))


def _wanted(series: Series, piece: Rolled) -> dict[str, Any]:
    return {
        **series.parameters,
        "part": piece.part,
        "cell": piece.width,
        "first_cell": piece.cells.low,
        "last_cell": piece.cells.high,
        "min_us": series.min_us,
        "max_us": series.max_us,
    }


def _as_buckets(columns: dict[str, Any]) -> Buckets:
    points, finite = columns["sum_points"].astype(np.int64), columns["sum_finite"].astype(np.int64)
    return from_columns(
        {
            "bucket": columns["whole"],
            "first_step": columns["low_step"],
            "last_step": columns["high_step"],
            "first": columns["first_value"],
            "last": columns["last_value"],
            "minimum": columns["low"],
            "maximum": columns["high"],
            "total": columns["sum_total"],
            "finite": finite,
            "points": points,
            "not_finite": points - finite,
            "steps": points,
            "earliest_us": columns["earliest_us"],
        }
    )
