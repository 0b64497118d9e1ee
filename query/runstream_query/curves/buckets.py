"""Hold a series in buckets, as columns that can be merged from pieces. All functions are pure and use numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_SHORT = 8
"""Rows of the longest stretch that `_Stretches` reduces row by row."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Hold columns of equal length (B,), sorted by bucket.

    NaN and infinities count in `not_finite` and in `points`. `minimum`, `maximum` and `total` are over the `finite`
    other values; they are NaN, NaN and 0 where there are none.
    """

    bucket: Ints
    first_step: Ints
    last_step: Ints
    first: Floats
    last: Floats
    minimum: Floats
    maximum: Floats
    total: Floats
    finite: Ints
    points: Ints
    not_finite: Ints
    steps: Ints
    """The number of distinct steps."""
    earliest_us: Ints

    def __len__(self) -> int:
        return len(self.bucket)

    @property
    def means(self) -> Floats:
        """The mean of the finite values; NaN where there are none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.total / self.finite

    def part(self, start: int, end: int) -> Buckets:
        return Buckets(**{name: getattr(self, name)[start:end] for name in NAMES})


NAMES = tuple(field.name for field in fields(Buckets))
_INTS = frozenset({"bucket", "first_step", "last_step", "finite", "points", "not_finite", "steps", "earliest_us"})


def from_columns(columns: Any) -> Buckets:
    """Return the buckets of columns that the engine sent."""
    arrays: dict[str, Any] = {
        name: np.asarray(columns[name], dtype=np.int64 if name in _INTS else np.float64) for name in NAMES
    }
    return Buckets(**arrays)


def from_points(bucket: Ints, steps: Ints, values: Floats, times_us: Ints, series: Ints | None = None) -> Buckets:
    """Put points into buckets. The points are sorted by step, one a step, and `bucket` never falls.

    `series`: the index of the first point of each further series, where several series stand one behind the other. No
    bucket then holds points of two series.
    """
    if not len(bucket):
        return _point_by_point(bucket, steps, values, times_us)
    new = np.append(True, bucket[1:] != bucket[:-1])
    if series is not None:
        new[series] = True
    if new.all():
        return _point_by_point(bucket, steps, values, times_us)
    each = _Stretches(np.flatnonzero(new), len(bucket))
    finite = np.isfinite(values)
    if finite.all():
        finites = each.counts
        minimum, maximum = each.reduce(np.minimum, values), each.reduce(np.maximum, values)
        total = each.reduce(np.add, values)
    else:
        finites = each.reduce(np.add, finite.astype(np.int64))
        numbers = np.where(finite, values, np.nan)
        minimum, maximum = each.reduce(np.fmin, numbers), each.reduce(np.fmax, numbers)
        total = each.reduce(np.add, np.where(finite, values, 0.0))
    last = each.starts + each.counts - 1
    return Buckets(
        bucket=bucket[each.starts],
        first_step=steps[each.starts],
        last_step=steps[last],
        first=values[each.starts],
        last=values[last],
        minimum=minimum,
        maximum=maximum,
        total=total,
        finite=finites,
        points=each.counts,
        not_finite=each.counts - finites,
        steps=each.counts,
        earliest_us=each.reduce(np.minimum, times_us),
    )


class _Stretches:
    """Divide a column of `length` rows into stretches. `starts`: the first row of each; the first of them is 0."""

    def __init__(self, starts: Ints, length: int) -> None:
        self.starts = starts
        self.counts = np.diff(starts, append=length)
        self._longest = int(self.counts.max())
        self._several = np.flatnonzero(self.counts > 1)
        """Stretches that have a second row."""
        counts = self.counts[self._several]
        most = self._longest if self._longest <= _SHORT else 0
        self._further = [np.flatnonzero(counts > place) for place in range(2, most)]
        """Those of `_several` that have a third row, a fourth row, and so on."""

    def reduce(self, by: np.ufunc, column: Any) -> Any:
        """Return one number for each stretch.

        Where all stretches are short, all of them are reduced together, row by row: `reduceat` takes five times as
        long. The order is that of `reduceat`: the first row, and then the result of the others.
        """
        # A sum beyond the largest double becomes infinite, as in the engine.
        with np.errstate(over="ignore", invalid="ignore"):
            return self._reduced(by, column)

    def _reduced(self, by: np.ufunc, column: Any) -> Any:
        if self._longest > _SHORT:
            return by.reduceat(column, self.starts)
        results, second = column[self.starts], self.starts[self._several] + 1
        others = column[second]
        for place, having in enumerate(self._further, 1):
            others[having] = by(others[having], column[second[having] + place])
        results[self._several] = by(results[self._several], others)
        return results


def _point_by_point(bucket: Ints, steps: Ints, values: Floats, times_us: Ints) -> Buckets:
    finite = np.isfinite(values)
    numbers, ones = np.where(finite, values, np.nan), np.ones(len(bucket), dtype=np.int64)
    finites = finite.astype(np.int64)
    return Buckets(
        bucket=bucket,
        first_step=steps,
        last_step=steps,
        first=values,
        last=values,
        minimum=numbers,
        maximum=numbers,
        total=np.where(finite, values, 0.0),
        finite=finites,
        points=ones,
        not_finite=ones - finites,
        steps=ones,
        earliest_us=times_us,
    )


def merge(pieces: Sequence[Buckets]) -> Buckets:
    """Merge pieces of one series that share no step; their buckets and ranges of steps may overlap."""
    columns = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in NAMES}
    order = np.lexsort((columns["first_step"], columns["bucket"]))
    whole = {name: column[order] for name, column in columns.items()}
    bucket = whole["bucket"]
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1)) if len(bucket) else np.empty(0, dtype=np.int64)
    if len(starts) == len(bucket):
        return Buckets(**whole)
    latest = np.lexsort((columns["last_step"], columns["bucket"]))[np.append(starts[1:], len(bucket)) - 1]
    return Buckets(
        bucket=bucket[starts],
        first_step=whole["first_step"][starts],
        last_step=columns["last_step"][latest],
        first=whole["first"][starts],
        last=columns["last"][latest],
        minimum=_reduce(np.fmin, whole["minimum"], starts),
        maximum=_reduce(np.fmax, whole["maximum"], starts),
        earliest_us=_reduce(np.minimum, whole["earliest_us"], starts),
        **{name: _reduce(np.add, whole[name], starts) for name in ("total", "finite", "points", "not_finite", "steps")},
    )


def _reduce(by: np.ufunc, column: Any, starts: Ints) -> Any:
    return by.reduceat(column, starts) if len(starts) else column[:0]
