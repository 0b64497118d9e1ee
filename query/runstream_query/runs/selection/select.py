"""Select the runs of a project that meet a condition: pages in an order, groups, and columns of values."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from runstream_query.runs.field_names import Field
from runstream_query.runs.selection.conditions import Mask, meets
from runstream_query.runs.selection.field_column import MISSING, FieldColumn
from runstream_query.runs.selection.filters import Condition
from runstream_query.runs.selection.ordering import Key
from runstream_query.runs.selection.run_table import RunTable

OrderPosition = list[Any]
"""The position of a run in an order: for each key its class, number and text; then the run's id."""


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs with the same values. `keys` holds for each field its class, number and text."""

    keys: tuple[tuple[int, float, str], ...]
    members: NDArray[np.int64]


class RunSelection:
    """The runs of a table that meet a condition. It is pure: the table holds all that it needs."""

    def __init__(self, table: RunTable, condition: Condition, found: Mask | None = None) -> None:
        """Find the runs. Raise InvalidRequestError.

        `found` has the runs that match a free-text search, if there is one.
        """
        self.table = table
        self._mask = meets(condition, len(table), table.column)
        if found is not None:
            self._mask &= found

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """(M,): places of the runs that meet the condition, in the order of their ids."""
        return np.flatnonzero(self._mask)

    @property
    def runs(self) -> list[str]:
        """(M,): ids of the runs that meet the condition."""
        return self.ids(self.places)

    def ids(self, places: NDArray[np.int64]) -> list[str]:
        return self.table.runs.take(places).to_pylist()  # type: ignore[no-any-return]

    def page(self, order: Sequence[Key], after: OrderPosition | None, limit: int) -> NDArray[np.int64]:
        """Return the places of the next `limit` runs behind `after`."""
        ordered = self._ordered(
            order, self.places if after is None else self.places[self._after_position(order, after)]
        )
        return ordered[:limit]

    def position_of(self, place: int, order: Sequence[Key]) -> OrderPosition:
        values = [part for key in order for part in _key(self.table.column(key.field), place)]
        return [*values, self.table.runs[place].as_py()]

    def groups(self, by: Sequence[Field]) -> list[RunGroup]:
        """Return the groups of runs with the same values: the largest first, then in the order of their values."""
        columns = [self.table.column(field) for field in by]
        keys = [part[self.places] for column in columns for part in (column.kinds, column.sizes, column.names[0])]
        if not len(self.places):
            return []
        if not keys:
            return [RunGroup((), self.places)]
        order = np.lexsort(keys[::-1])
        ordered = [key[order] for key in keys]
        new = np.flatnonzero(np.logical_or.reduce([key[1:] != key[:-1] for key in ordered])) + 1
        groups = [
            RunGroup(tuple(_key(column, int(members[0])) for column in columns), members)
            for members in np.split(self.places[order], new)
        ]
        return sorted(groups, key=lambda group: -len(group.members))

    def ranked(self, order: Sequence[Key], limit: int) -> NDArray[np.int64]:
        """Return the places of the first runs in this order; `descending` reverses texts and numbers."""
        return self._ordered(order, self.places)[:limit]

    def _ordered(self, order: Sequence[Key], places: NDArray[np.int64]) -> NDArray[np.int64]:
        keys: list[NDArray[Any]] = []
        for key in order:
            column, sign = self.table.column(key.field), -1 if key.descending else 1
            keys += [column.kinds[places], sign * column.sizes[places], sign * column.names[0][places]]
        return places[np.lexsort(keys[::-1])] if keys else places

    def _after_position(self, order: Sequence[Key], after: OrderPosition) -> Mask:
        """Return (M,): which runs come after a position in the order.

        Such a run is greater in the first key, or equal there and greater in the next, and so on.
        """
        beyond, same = np.zeros(len(self.places), bool), np.ones(len(self.places), bool)
        for index, key in enumerate(order):
            kind, size, name = after[3 * index : 3 * index + 3]
            column = self.table.column(key.field)
            codes, names = column.names
            low, high = (
                side(range(len(names)), name, key=lambda at: names[at].as_py())
                for side in (bisect.bisect_left, bisect.bisect_right)
            )
            values = codes[self.places]
            parts = (
                (column.kinds[self.places] > kind, column.kinds[self.places] == kind),
                _after(column.sizes[self.places], size, key.descending),
                (values < low if key.descending else values >= high, (values >= low) & (values < high)),
            )
            for greater, equal in parts:
                beyond |= same & greater
                same &= equal
        last = pc.sum(pc.less_equal(self.table.runs, after[-1])).as_py() or 0
        return beyond | (same & (self.places >= last))


def _after(values: NDArray[np.float64], bound: float, descending: bool) -> tuple[Mask, Mask]:
    return (values < bound if descending else values > bound), values == bound


def _key(column: FieldColumn, place: int) -> tuple[int, float, str]:
    """Return class, number and text of a value, which together put values of all kinds in order."""
    codes, names = column.names
    return int(column.kinds[place]), float(column.sizes[place]), names[int(codes[place])].as_py()


def check_position(position: Any, keys: int) -> bool:
    """Return whether a page token holds a valid position in an order of so many keys."""
    kinds: list[Any] = [int, (float, int), str] * keys + [str]
    return (
        isinstance(position, list)
        and len(position) == len(kinds)
        and all(
            isinstance(value, kind) and not isinstance(value, bool) for value, kind in zip(position, kinds, strict=True)
        )
        and all(0 <= position[3 * key] <= MISSING and not math.isnan(position[3 * key + 1]) for key in range(keys))
    )
