"""Choose the resolutions in which a series is rolled up. All functions are pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

POINTS_A_CELL = 256
"""How many points lie in a cell.

Ten million points become 39,000 cells; a chart of a thousand buckets that needs finer ones reads at most 256,000
points.
"""
COARSER_BITS = 3
"""By how many bits each further resolution is coarser than the one before: it is 8 times coarser.

Further resolutions are made while a thousand cells are left: a chart of a thousand buckets reads some thousand cells,
however long the series is. Together they take a seventh of the finest.
"""
_COARSER_FROM = 1000 * POINTS_A_CELL << COARSER_BITS
_MAX_BITS = 52


def bits_for(points: int, first_step: int, last_step: int) -> int:
    """Return the cell's width in steps, as a power of two.

    About POINTS_A_CELL points lie in a cell when they are spread evenly.
    """
    stride = (last_step - first_step + 1) / max(points, 1)
    return min(max(round(math.log2(POINTS_A_CELL * stride)), 1), _MAX_BITS)


def widths_for(bits: int, points: int) -> list[int]:
    """Return the widths of the cells in steps, finest first."""
    cells = [1 << bits]
    while points >= _COARSER_FROM << COARSER_BITS * (len(cells) - 1) and bits + COARSER_BITS * len(cells) <= _MAX_BITS:
        cells.append(cells[-1] << COARSER_BITS)
    return cells


def by_run_and_width(
    rows: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[tuple[str, str, int], list[Mapping[str, Any]]]]:
    """Yield the series of one run and one width of cells by (project, run, bits): one pass rolls them up."""

    def key(row: Mapping[str, Any]) -> tuple[str, str, int]:
        return row["project"], row["run"], bits_for(row["points"], row["first_step"], row["last_step"])

    for name, members in groupby(sorted(rows, key=key), key):
        yield name, list(members)
