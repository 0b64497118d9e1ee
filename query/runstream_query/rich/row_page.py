"""Choose one page of a table from a stream of its rows: memory grows with the page, not the table. It is pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from runstream_proto.v1 import rich_pb2 as pb
from runstream_query.rich.cells import Row, column_type, kind, make_filters, place_of, sort_key


class RowPage:
    """One page of a table: `take()` all rows in order, then read `page()`, `matching` and `columns()`."""

    def __init__(
        self,
        columns: Sequence[str],
        filters: Sequence[pb.TableFilter] = (),
        order: Sequence[pb.TableOrder] = (),
        size: int = 100,
        after: Sequence[Any] | None = None,
    ) -> None:
        """Choose a page. `after` is the last row of the page before, with its number. Raise InvalidRequestError."""
        self._columns = list(columns)
        self._passing = make_filters(columns, filters)
        self._order = [(place_of(columns, one.column), one.descending) for one in order]
        self._size = size
        self._after = None if after is None else sort_key(after[0], after[1], self._order)
        self._plain = not filters and not order
        self._begin = 0 if after is None else after[1] + 1
        self._kept: list[tuple[tuple[Any, ...], int, Row]] = []
        self._bar: tuple[Any, ...] | None = None
        """The key of the worst row that can still be on the page, once there are enough rows."""
        self._kinds: list[Counter[str]] = [Counter() for _ in columns]
        self._left = 0
        self.total = 0
        self.matching = 0

    def take(self, rows: Iterable[Row]) -> None:
        width = len(self._columns)
        fitted = [row if len(row) == width else (row + [None] * width)[:width] for row in rows]
        for kinds, cells in zip(self._kinds, zip(*fitted, strict=True), strict=False):
            kinds.update(map(kind, cells))
        if self._plain:
            self._take_in_order(fitted)
            return
        for row, passes in zip(fitted, self._passing(fitted), strict=True):
            if passes:
                self._offer(row, self.total)
            self.total += 1

    def page(self) -> list[tuple[int, Row]]:
        """Return the rows of the page in order, as (number, row)."""
        self._cut()
        return [(number, row) for _, number, row in self._kept]

    @property
    def more(self) -> bool:
        """Whether there are rows behind the page."""
        return self._left > self._size

    def columns(self) -> list[pb.TableColumn]:
        return [
            pb.TableColumn(name=name, type=column_type(kinds), missing=kinds["missing"])
            for name, kinds in zip(self._columns, self._kinds, strict=True)
        ]

    def _take_in_order(self, rows: Sequence[Row]) -> None:
        """Take rows that are neither filtered nor sorted: most rows of a large table are only counted."""
        first = min(max(self._begin - self.total, 0), len(rows))
        wanted = rows[first : first + self._size - len(self._kept)]
        self._kept += [(sort_key(row, n, ()), n, row) for n, row in enumerate(wanted, self.total + first)]
        self._left += len(rows) - first
        self.matching += len(rows)
        self.total += len(rows)

    def _offer(self, row: Row, number: int) -> None:
        self.matching += 1
        key = sort_key(row, number, self._order)
        if self._after is not None and not self._after < key:
            return
        self._left += 1
        if self._bar is not None and not key < self._bar:
            return
        self._kept.append((key, number, row))
        if len(self._kept) >= 2 * self._size + 8:
            self._cut()

    def _cut(self) -> None:
        self._kept.sort(key=lambda kept: kept[0])
        del self._kept[self._size :]
        if len(self._kept) == self._size:
            self._bar = self._kept[-1][0]
