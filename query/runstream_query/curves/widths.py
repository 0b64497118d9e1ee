"""How wide buckets are: few, round widths, on a fixed grid, so that curves of several runs share their buckets and a
curve that grows keeps them."""

from __future__ import annotations

GRID = 1 << 53
"""Added to a step it makes every step positive (`limits.MAX_STEP`), so that division rounds down: the grid's origin."""


def width_for(low: int, high: int, buckets: int) -> int:
    """The smallest width of 1 to 8 and (4 to 7) times a power of two in which `low` to `high` touch at most `buckets`.

    At most a quarter wider than need be; a multiple of a large power of two, which roll-ups have as theirs.
    """
    width = 1
    while touched(low, high, width) > buckets:
        width += unit_of(width)
    return width


def touched(low: int, high: int, width: int) -> int:
    """How many buckets of the grid the steps from `low` to `high` (inclusive) reach into."""
    return (high + GRID) // width - (low + GRID) // width + 1


def unit_of(width: int) -> int:
    """The power of two that `width` is a small multiple of: every bucket begins at a multiple of it."""
    return 1 << max(width.bit_length() - 3, 0)
