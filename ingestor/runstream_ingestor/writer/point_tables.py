"""Turn decoded blocks into Arrow tables of `points` and `series`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runstream_common.identity import full_project, run_month
from runstream_ingestor.writer.decode import PointBlock

_EPOCH = date(1970, 1, 1)
_TIME = pa.timestamp("us", "UTC")
LAST = pa.struct([("step", pa.int64()), ("version", pa.uint64()), ("value", pa.float64()), ("time", _TIME)])

_Number = TypeVar("_Number", bound=np.number)
_Series = tuple[str, str, str, int, tuple[str, ...]]
"""What all series of a block have in common: team, project, run, rank and metrics."""


class _Names:
    """Number strings in order of appearance, for a dictionary-encoded column."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def numbers(self, names: Sequence[str]) -> NDArray[np.int32]:
        number = self.number
        return np.fromiter((number(name) for name in names), dtype=np.int32, count=len(names))

    def array(self, numbers: NDArray[np.int32]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(list(self._numbers), type=pa.string()))


def days(run_created_us: int) -> int:
    """Return the run's month as days since 1970, Arrow's date32."""
    return (run_month(run_created_us) - _EPOCH).days


def points_table(blocks: Sequence[PointBlock]) -> pa.Table:
    """Return a table of `points`: for each block its metrics one after the other, in the order of its rows."""
    projects, runs, metrics = _Names(), _Names(), _Names()
    metric_numbers = [metrics.numbers(block.keys) for block in blocks]
    rows = [len(block.steps) for block in blocks]
    sizes = np.array([block.points for block in blocks])

    def a_block(of: Callable[[PointBlock], int], dtype: type[_Number]) -> NDArray[_Number]:
        return np.repeat(np.array([of(block) for block in blocks], dtype=dtype), sizes)

    def a_row(of: Callable[[PointBlock], NDArray[_Number]]) -> NDArray[_Number]:
        return np.concatenate([np.tile(of(block), len(block.keys)) for block in blocks])

    return pa.table(
        {
            "project": projects.array(
                a_block(lambda b: projects.number(full_project(b.origin.team, b.origin.project)), np.int32)
            ),
            "run": runs.array(a_block(lambda b: runs.number(b.origin.run), np.int32)),
            "metric": metrics.array(
                np.concatenate([np.repeat(n, r) for n, r in zip(metric_numbers, rows, strict=True)])
            ),
            "rank": pa.array(a_block(lambda b: b.origin.rank, np.uint32)),
            "step": pa.array(a_row(lambda b: b.steps)),
            "value": pa.array(np.concatenate([block.values.T.ravel() for block in blocks]), from_pandas=False),
            "time": pa.array(a_row(lambda b: b.times_us)).cast(_TIME),
            "version": pa.array(a_row(lambda b: b.versions)),
            "run_month": pa.array(a_block(lambda b: days(b.origin.run_created_us), np.int32)).cast(pa.date32()),
        }
    )


def series_table(blocks: Sequence[PointBlock]) -> pa.Table:
    """Return a table of `series`: for each series its row of the highest (step, version), and its lowest step.

    The engine keeps the maximum, and the minimum, of all rows that it gets, so a missing or repeated block of an
    already known series changes nothing.
    """
    projects, runs, metrics = _Names(), _Names(), _Names()
    newest = _newest_rows(blocks)
    lows: dict[_Series, int] = {}
    for block in blocks:
        low = int(block.steps.min())
        lows[_series(block)] = min(low, lows.get(_series(block), low))
    widths = np.array([len(block.keys) for block, _ in newest])

    def spread(of: Callable[[PointBlock, int], int | np.int64 | np.uint64], dtype: type[_Number]) -> NDArray[_Number]:
        return np.repeat(np.array([of(block, row) for block, row in newest], dtype=dtype), widths)

    last = pa.StructArray.from_arrays(
        [
            pa.array(spread(lambda b, i: b.steps[i], np.int64)),
            pa.array(spread(lambda b, i: b.versions[i], np.uint64)),
            pa.array(np.concatenate([block.values[row] for block, row in newest]), from_pandas=False),
            pa.array(spread(lambda b, i: b.times_us[i], np.int64)).cast(_TIME),
        ],
        fields=list(LAST),
    )
    return pa.table(
        {
            "project": projects.array(
                spread(lambda b, _: projects.number(full_project(b.origin.team, b.origin.project)), np.int32)
            ),
            "run": runs.array(spread(lambda b, _: runs.number(b.origin.run), np.int32)),
            "metric": metrics.array(np.concatenate([metrics.numbers(block.keys) for block, _ in newest])),
            "rank": pa.array(spread(lambda b, _: b.origin.rank, np.uint32)),
            "last": last,
            "low": pa.array(spread(lambda b, _: lows[_series(b)], np.int64)),
            "run_month": pa.array(spread(lambda b, _: days(b.origin.run_created_us), np.int32)).cast(pa.date32()),
        }
    )


def _newest_rows(blocks: Sequence[PointBlock]) -> list[tuple[PointBlock, int]]:
    """Return, of all blocks with the same keys of the same rank, the one with the newest row, and that row."""
    newest: dict[_Series, tuple[tuple[int, int], PointBlock, int]] = {}
    for block in blocks:
        row = int(np.lexsort((block.versions, block.steps))[-1])
        age = (int(block.steps[row]), int(block.versions[row]))
        series = _series(block)
        if series not in newest or newest[series][0] < age:
            newest[series] = (age, block, row)
    return [(block, row) for _, block, row in newest.values()]


def _series(block: PointBlock) -> _Series:
    """Return what all series of a block have in common."""
    origin = block.origin
    return origin.team, origin.project, origin.run, origin.rank, block.keys
