"""Which resolutions a series is rolled up in. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

POINTS_A_CELL = 256
"""Ten million points become 39,000 cells, which are read in ten milliseconds; a chart of a thousand buckets that needs
finer cells reads 256,000 points at most, in twice as much."""
COARSER_BITS = 6
"""A second resolution, 64 times coarser, where a thousand such cells are left: for series of a billion points."""
_COARSER_FROM = 1000 * POINTS_A_CELL << COARSER_BITS
_MAX_BITS = 52


def bits_for(points: int, first_step: int, last_step: int) -> int:
    """The cell's width as a power of two: about so many points lie in it when they are spread evenly."""
    stride = (last_step - first_step + 1) / max(points, 1)
    return min(max(round(math.log2(POINTS_A_CELL * stride)), 1), _MAX_BITS)


def widths_for(bits: int, points: int) -> list[int]:
    """Finest first."""
    coarser = points >= _COARSER_FROM and bits + COARSER_BITS <= _MAX_BITS
    return [1 << bits, 1 << (bits + COARSER_BITS)] if coarser else [1 << bits]


def together(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, str, int], list[Mapping[str, Any]]]]:
    """Series of one run and one width of cells, by (project, run, bits): they are rolled up in one pass."""

    def key(row: Mapping[str, Any]) -> tuple[str, str, int]:
        return row["project"], row["run"], bits_for(row["points"], row["first_step"], row["last_step"])

    for found, members in groupby(sorted(rows, key=key), key):
        yield found, list(members)
