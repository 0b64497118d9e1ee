"""Compute with ranges of steps, whose ends are both inclusive. All functions are pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    low: int
    high: int


def clip(span: Span, low: int, high: int) -> Span | None:
    """Return the part of `span` from `low` to `high`; None where there is none."""
    inside = Span(max(span.low, low), min(span.high, high))
    return inside if inside.low <= inside.high else None


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the ranges sorted and without overlap; neighbours become one range."""
    merged: list[Span] = []
    for span in sorted(spans):
        if span.low > span.high:
            continue
        if merged and span.low <= merged[-1].high + 1:
            merged[-1] = Span(merged[-1].low, max(merged[-1].high, span.high))
        else:
            merged.append(span)
    return merged


def subtract(span: Span, others: Sequence[Span]) -> list[Span]:
    """Return the parts of `span` that none of the others covers."""
    left, low = [], span.low
    for other in union(others):
        if other.high < low or other.low > span.high:
            continue
        if other.low > low:
            left.append(Span(low, other.low - 1))
        low = other.high + 1
    if low <= span.high:
        left.append(Span(low, span.high))
    return left


def whole_cells(span: Span, width: int) -> Span | None:
    """Return the numbers of the cells that lie in `span` from end to end; None where there are none.

    Cells have `width` steps; cell 0 begins at step 0.
    """
    first, last = -(-span.low // width), (span.high + 1) // width - 1
    return Span(first, last) if first <= last else None
