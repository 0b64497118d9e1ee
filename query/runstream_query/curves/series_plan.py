"""Plan how one series is read: from roll-ups where these are valid, and from its points everywhere else.

A roll-up says what one part of `points` holds of a series, and a part never changes. So where a series has points in
one part only in a range of steps, and that part exists, the part's roll-ups are the answer. Points are read in three
cases: where points of several parts meet (one may supersede the other), where a part has no roll-ups of a suitable
resolution, and at the ends of the requested range. All functions are pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runstream_query.curves.spans import Span, clip, subtract, union, whole_cells
from runstream_query.curves.widths import unit_of


@dataclass(frozen=True, slots=True)
class SeriesPart:
    """Describe what one part of the table `points` holds of a series."""

    name: str
    steps: Span
    """From the first to the last step that the part has of the series."""
    widths: tuple[int, ...] = ()
    """Widths of the cells of its roll-ups, finest first; empty where it has none."""

    def resolution(self, wanted: int) -> int:
        """Return the width of the coarsest cells that fit into buckets of the wanted width; 0 where there are none."""
        return max((width for width in self.widths if width <= unit_of(wanted)), default=0)


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """Name the parts that have points of a series within `extent`: those with roll-ups, and the others.

    The plan is valid while all these parts exist and no other part has points of the metric.
    """

    rank: int
    extent: Span
    rolled: list[SeriesPart]
    others: list[SeriesPart]

    @property
    def parts(self) -> list[str]:
        return [part.name for part in (*self.rolled, *self.others)]


@dataclass(frozen=True, slots=True)
class RolledCells:
    """Name the usable roll-ups of one part: cells of `width` steps with the numbers `cells`.

    `covers`: the steps of the part's points in these cells; no other part has a point there.
    """

    part: str
    width: int
    cells: Span
    covers: Span


def series_part(row: Mapping[str, Any]) -> SeriesPart:
    """Return the part of a row of `rolled_series.sql` or `other_parts.sql`."""
    return SeriesPart(row["part"], Span(row["first_step"], row["last_step"]), tuple(row.get("widths", ())))


def split(plan: SeriesPlan, steps: Span, wanted: int) -> tuple[list[RolledCells], list[Span]]:
    """Return the cells that can be used for buckets of the wanted width, and the other ranges that have points."""
    usable = [(part, width) for part in plan.rolled if (width := part.resolution(wanted))]
    spans = [part.steps for part, _ in usable]
    foreign = [part.steps for part in (*plan.others, *_too_coarse(plan.rolled, wanted))]
    cells_of: list[RolledCells] = []
    for index, (part, width) in enumerate(usable):
        rivals = [*foreign, *spans[:index], *spans[index + 1 :]]
        own = clip(part.steps, *steps)
        for free in subtract(own, rivals) if own else ():
            cells = whole_cells(_reach(free, part.steps, width), width)
            if cells is not None:
                low, high = cells.low * width, (cells.high + 1) * width - 1
                covers = Span(max(low, free.low), min(high, free.high))
                cells_of.append(RolledCells(part.name, width, cells, covers))
    covered = [piece.covers for piece in cells_of]
    inside = [span for one in (*spans, *foreign) if (span := clip(one, *steps))]
    return cells_of, [left for span in union(inside) for left in subtract(span, covered)]


def _too_coarse(parts: Iterable[SeriesPart], wanted: int) -> list[SeriesPart]:
    return [part for part in parts if not part.resolution(wanted)]


def _reach(free: Span, own: Span, width: int) -> Span:
    """Return `free`, extended to whole cells where it ends with the part's own points.

    A cell at such an end reaches beyond the points of the part, and still holds only points of the part.
    """
    low = free.low // width * width if free.low == own.low else free.low
    high = (free.high // width + 1) * width - 1 if free.high == own.high else free.high
    return Span(low, high)
