"""Choose the width of buckets: few, round widths on a fixed grid.

So curves of several runs share their buckets, and a curve that grows keeps them.
"""

from __future__ import annotations

GRID = 1 << 53
"""The origin of the grid. Added to a step it makes the step positive (`limits.MAX_STEP`), so division rounds down."""


def width_for(low: int, high: int, buckets: int) -> int:
    """Return the smallest round width with which `low` to `high` touch at most `buckets` buckets.

    Round widths are 1 to 8, and 4 to 7 times a power of two. So the width is at most a quarter larger than necessary,
    and a multiple of a large power of two, which is the width of roll-ups.
    """
    width = 1
    while touched(low, high, width) > buckets:
        width += unit_of(width)
    return width


def touched(low: int, high: int, width: int) -> int:
    """Return how many buckets of the grid the steps from `low` to `high` (inclusive) touch."""
    return (high + GRID) // width - (low + GRID) // width + 1


def unit_of(width: int) -> int:
    """Return the power of two of which `width` is a small multiple: every bucket begins at a multiple of it."""
    return 1 << max(width.bit_length() - 3, 0)
