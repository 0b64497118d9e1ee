"""A long series from roll-ups where they are true, from its points everywhere else.

A roll-up says what one part of `points` holds of a series, and a part never changes. So in a range of steps in which a
series has points in one part only, and that part exists, its roll-ups are the answer. Where points of several parts
meet (one may supersede the other), where a part has no roll-ups yet, and at the ends of the range that was asked for,
the points themselves are read. What is found is the truth at the moment in which the parts were listed, or later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from runstream_query.curves.buckets import Buckets, from_columns
from runstream_query.curves.spans import Span, subtract, union, whole_cells
from runstream_query.curves.widths import GRID, unit_of
from runstream_query.storage import Storage

_ATTEMPTS = 3
"""Of finding the parts at rest. Merges end every few seconds; then the points are read."""
_MAX_SPANS = 24
"""Ranges that are read from points, each by a query of its own. Two or three are usual: a fresh end, a seam."""
_MAX_EDGES = 16


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
    storage: Storage, series: Series, known: list[dict[str, Any]], width: int
) -> tuple[list[Buckets], list[Span]] | None:
    """Buckets from roll-ups, and the ranges whose points are to be read beside them; None: read all points.

    `known`: rows of `rolled_series.sql` for this series.
    """
    usable = [(row, finest) for row in known if (finest := _resolution(row["widths"], width))]
    for _ in range(_ATTEMPTS):
        if not usable:
            return None
        parts = [row["part"] for row, _ in usable]
        others = await storage.rows(
            "other_parts", **series.parameters, parts=parts, min_step=series.steps.low, max_step=series.steps.high
        )
        alive = {row["name"] for row in await storage.rows("parts_alive", parts=parts)}
        if len(alive) == len(set(parts)):
            return await _read(storage, series, _plan(series.steps, usable, others), width)
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
    storage: Storage, series: Series, plan: list[Rolled], width: int
) -> tuple[list[Buckets], list[Span]] | None:
    if not plan:
        return None
    wanted = {
        **series.parameters,
        "parts": [piece.part for piece in plan],
        "widths": [piece.width for piece in plan],
        "firsts": [piece.cells.low for piece in plan],
        "lasts": [piece.cells.high for piece in plan],
        "min_us": series.min_us,
        "max_us": series.max_us,
    }
    edges = await storage.rows("rolled_edges", **wanted, limit=_MAX_EDGES + 1)
    if len(edges) > _MAX_EDGES:
        return None  # times that jump back and forth: too many cells are partly in the range
    columns = await storage.columns("rolled_buckets", **wanted, width=width, grid=GRID)
    rest = subtract(series.steps, [piece.steps for piece in plan])
    across = [Span(edge["bucket"] * edge["width"], (edge["bucket"] + 1) * edge["width"] - 1) for edge in edges]
    rest = union(
        [*rest, *(Span(max(span.low, series.steps.low), min(span.high, series.steps.high)) for span in across)]
    )
    if len(rest) > _MAX_SPANS:
        return None
    return [_as_buckets(columns)], rest


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
