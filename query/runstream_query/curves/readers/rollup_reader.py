"""Reads a long series from roll-ups where these are valid, and from its points everywhere else.

A roll-up says what one part of `points` holds of a series, and a part never changes. So where a series has points in
one part only in a range of steps, and that part exists, the part's roll-ups are the answer. The points themselves are
read in three cases: where points of several parts meet (one may supersede the other), where a part has no roll-ups yet,
and at the ends of the requested range. The result is true at the moment in which the parts were listed, or later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from runstream_common.limits import MAX_TIME_US
from runstream_query.base.storage import ONE_THREAD, Storage
from runstream_query.curves.buckets import Buckets, from_columns
from runstream_query.curves.extents import clip
from runstream_query.curves.spans import Span, subtract, union, whole_cells
from runstream_query.curves.widths import GRID, unit_of

_ATTEMPTS = 3
"""Attempts to read while no part disappears. Merges end every few seconds; after the last attempt points are read."""
_MAX_SPANS = 24
"""Ranges that are read from points, each by its own query. Two or three are usual: new points at the end, a seam."""
ReadPoints = Callable[[Span], Awaitable[Buckets]]


@dataclass(frozen=True, slots=True)
class Series:
    """A series, and the requested part of it. Ranges are inclusive."""

    project: str
    run: str
    metric: str
    rank: int
    steps: Span
    min_us: int
    max_us: int

    @property
    def bounded(self) -> bool:
        """True when a range of times is requested."""
        return self.min_us > 0 or self.max_us < MAX_TIME_US

    @property
    def parameters(self) -> dict[str, Any]:
        return {"project": self.project, "run": self.run, "metric": self.metric, "rank": self.rank}


@dataclass(frozen=True, slots=True)
class Rolled:
    """The usable roll-ups of one part: cells of `width` steps with the numbers `cells`.

    `covers`: the steps of the part's points in these cells; no other part has a point there.
    """

    part: str
    width: int
    cells: Span
    covers: Span


async def rolled_buckets(
    storage: Storage,
    series: Series,
    known: list[dict[str, Any]],
    width: int,
    read_points: ReadPoints,
    remember: Callable[[list[dict[str, Any]], list[dict[str, Any]]], None],
) -> list[Buckets] | None:
    """Return the series in pieces that share no step; None where all its points must be read.

    `known`: rows of `rolled_series.sql` for this series. `read_points`: returns the buckets of the points of a range.
    `remember` is called with what the series is made of: rows of `known`, and of `other_parts.sql`.
    """
    usable = [row for row in known if _resolution(row["widths"], width)]
    for _ in range(_ATTEMPTS):
        if not usable:
            return None
        parts = [row["part"] for row in usable]
        low, high = series.steps
        others = await storage.rows(
            "other_parts", settings=ONE_THREAD, **series.parameters, parts=parts, min_step=low, max_step=high
        )
        # Roll-ups do not change, so they are read while another query checks that the parts still exist.
        reading = asyncio.ensure_future(composed_buckets(storage, series, usable, others, width, read_points))
        alive = await parts_alive(storage, parts)
        if len(alive) == len(set(parts)):
            remember(usable, others)
            return await reading
        reading.cancel()
        # A part was merged away meanwhile: the new part was not among `others`, or has no roll-ups yet.
        usable = [row for row in usable if row["part"] in alive]
    return None


async def parts_alive(storage: Storage, parts: list[str]) -> set[str]:
    """Return those of these parts of `points` that exist. Raises StorageError."""
    return {row["name"] for row in await storage.rows("parts_alive", settings=ONE_THREAD, parts=parts)}


async def composed_buckets(
    storage: Storage,
    series: Series,
    rolled: list[dict[str, Any]],
    others: list[dict[str, Any]],
    width: int,
    read_points: ReadPoints,
) -> list[Buckets] | None:
    """Return what `rolled_buckets` does, for a series whose parts with roll-ups and other parts are known."""
    resolved = [(row, _resolution(row["widths"], width)) for row in rolled]
    too_coarse = [row for row, finest in resolved if not finest]
    plan, rest = _split(series.steps, [one for one in resolved if one[1]], [*others, *too_coarse])
    return await _read(storage, series, plan, rest, width, read_points)


def _resolution(widths: list[int], wanted: int) -> int:
    """Return the coarsest resolution whose cells fit into buckets of the wanted width; 0 where there is none."""
    return max((width for width in widths if width <= unit_of(wanted)), default=0)


def _split(
    steps: Span, usable: list[tuple[dict[str, Any], int]], others: list[dict[str, Any]]
) -> tuple[list[Rolled], list[Span]]:
    """Return the cells of parts where no other part has points, and the other ranges that have points."""
    spans = [Span(row["first_step"], row["last_step"]) for row, _ in usable]
    foreign = [Span(row["first_step"], row["last_step"]) for row in others]
    found: list[Rolled] = []
    for index, (row, width) in enumerate(usable):
        rivals = [*foreign, *spans[:index], *spans[index + 1 :]]
        own = clip(spans[index], *steps)
        for free in subtract(own, rivals) if own else ():
            cells = whole_cells(_reach(free, spans[index], width), width)
            if cells is not None:
                low, high = cells.low * width, (cells.high + 1) * width - 1
                found.append(Rolled(row["part"], width, cells, Span(max(low, free.low), min(high, free.high))))
    covered = [piece.covers for piece in found]
    inside = [span for one in (*spans, *foreign) if (span := clip(one, *steps))]
    return found, [left for span in union(inside) for left in subtract(span, covered)]


def _reach(free: Span, own: Span, width: int) -> Span:
    """Return `free`, extended to whole cells where it ends with the part's own points.

    A cell at such an end reaches beyond the points of the part, and still holds only points of the part.
    """
    low = free.low // width * width if free.low == own.low else free.low
    high = (free.high // width + 1) * width - 1 if free.high == own.high else free.high
    return Span(low, high)


async def _read(
    storage: Storage, series: Series, plan: list[Rolled], rest: list[Span], width: int, read_points: ReadPoints
) -> list[Buckets] | None:
    if not plan or len(rest) > _MAX_SPANS:
        return None
    reading = asyncio.ensure_future(_cells(storage, series, plan, width))
    if series.bounded:
        # Cells across an end of the range of times are known only when all cells are read; their points are read with
        # the rest.
        _, edges = await reading
        rest = union([*rest, *edges])
        if len(rest) > _MAX_SPANS:
            return None  # much of the series is rewritten, or its times jump
    read = await asyncio.gather(*(read_points(span) for span in rest))
    found, _ = await reading
    return [buckets for buckets in (found, *read) if len(buckets)]


async def _cells(storage: Storage, series: Series, plan: list[Rolled], width: int) -> tuple[Buckets, list[Span]]:
    """Return the cells of a plan as buckets of the wanted width, and the ranges of cells that are left out.

    Cells that lie across an end of the range of times are left out.
    """
    pairs = sorted({(piece.part, piece.width) for piece in plan})
    parts = [part for part, _ in pairs]
    columns = await storage.columns(
        "rolled_cells",
        settings=ONE_THREAD,
        **series.parameters,
        parts=parts,
        cells=pairs,
        first_cell=min(piece.cells.low for piece in plan),
        last_cell=max(piece.cells.high for piece in plan),
    )
    number, cell = columns["part_number"], columns["cell_number"]
    wanted, edges = np.zeros(len(cell), dtype=bool), []
    inside = (columns["earliest_us"] >= series.min_us) & (columns["latest_us"] <= series.max_us)
    across = ~inside & (columns["earliest_us"] <= series.max_us) & (columns["latest_us"] >= series.min_us)
    for piece in plan:
        own = (number == parts.index(piece.part) + 1) & (cell >= piece.cells.low) & (cell <= piece.cells.high)
        wanted |= own & inside
        for low in (cell[own & across] * piece.width).tolist():
            edges.append(clip(Span(low, low + piece.width - 1), *piece.covers))
    chosen = {name: column[wanted] for name, column in columns.items()}
    widths = np.array([cell_width for _, cell_width in pairs], dtype=np.int64)[
        chosen["part_number"].astype(np.int64) - 1
    ]
    points, finite = chosen["points"].astype(np.int64), chosen["finite"].astype(np.int64)
    return from_columns(
        {
            **chosen,
            "bucket": (chosen["cell_number"] * widths + GRID) // width,
            "finite": finite,
            "not_finite": points - finite,
            "steps": points,
        }
    ), [span for span in edges if span]
