"""Rows of a run, built from columns: one window of steps after another, each about as wide as a page holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from runstream.api.convert import as_list
from runstream.api.run_reference import RunReference
from runstream.errors import InvalidRequestError

if TYPE_CHECKING:
    from runstream.api.connection import Connection
    from runstream.api.series import StoredSeries

_NAMES = 1000
"""The most metrics in one request."""
_PAGE_POINTS = 200_000
"""The most points in one answer; they are 5 MB."""
_LEAST_POINTS = 1000
"""About the fewest points of one window: a request takes as long for one point."""
_TOO_FULL = 4
"""A window with this many times the points that were wanted is given up, and requested again in narrower ones."""


class Scannable(RunReference, Protocol):
    """A run whose metrics can be listed and read."""

    def metrics(self, search: str = "") -> list[str]:
        """Return the names of the run's metrics, in order."""
        ...

    def series(
        self,
        keys: Sequence[str] | str | None = None,
        page_size: int = 100_000,
        min_step: int | None = None,
        max_step: int | None = None,
        rank: int | None = None,
    ) -> Iterator[StoredSeries]:
        """Yield raw points as columns, a piece at a time."""
        ...


class _TooFullError(Exception):
    """A window holds many more points than a page."""


def scan(
    api: Connection,
    run: Scannable,
    keys: Sequence[str] | str | None,
    page_size: int,
    min_step: int | None,
    max_step: int | None,
    rank: int | None,
) -> Iterator[dict[str, Any]]:
    """See `StoredRun.scan_history`."""
    from runstream_proto.v1 import export_pb2 as pb

    if page_size < 1:
        raise InvalidRequestError(f"page_size is {page_size}: give 1 or more")
    wanted = None if keys is None else as_list(keys)
    names = run.metrics() if wanted is None else wanted
    if not names:
        return
    extent = pb.GetExtentRequest(
        team=run.entity, project=run.project, run=run.id, metrics=names if len(names) <= _NAMES else []
    )
    for found in api.ask("GetExtent", extent).ranks:
        if rank is not None and found.rank != rank:
            continue
        low = found.first_step if min_step is None else max(min_step, found.first_step)
        high = found.last_step if max_step is None else min(max_step, found.last_step)
        most = max(min(page_size * len(names), _PAGE_POINTS), _LEAST_POINTS)
        span = found.last_step - found.first_step + 1
        width = max(span * most // max(found.points, 1), 1)
        for rows in _windows(api, run, names, found.rank, (low, high), width, most):
            for step in sorted(rows):
                row = rows[step]
                if wanted is None or all(key in row for key in wanted):
                    yield {"_step": step, "_rank": found.rank, **row}


def _windows(
    api: Connection, run: Scannable, names: Sequence[str], rank: int, steps: tuple[int, int], width: int, most: int
) -> Iterator[dict[int, dict[str, float]]]:
    """Yield the rows of one window after another, as step -> row.

    Each window's width follows from how full the one before it was.
    """
    low, high = steps
    while low <= high:
        end = min(low + width - 1, high)
        limit = most * _TOO_FULL if end > low else None
        try:
            rows, points = _rows(api, run, names, rank, (low, end), limit)
        except _TooFullError:
            width = max(width // 4, 1)
            continue
        yield rows
        low = end + 1
        width = width * 2 if points < most // 2 else max(width // 2, 1) if points > most * 2 else width


def _rows(
    api: Connection, run: Scannable, names: Sequence[str], rank: int, steps: tuple[int, int], limit: int | None
) -> tuple[dict[int, dict[str, float]], int]:
    """Return the rows of a window, and how many points they hold. Raises _TooFullError past `limit`."""
    rows: dict[int, dict[str, float]] = {}
    points = 0
    for start in range(0, len(names), _NAMES):
        some = names[start : start + _NAMES]
        for series in run.series(some, _PAGE_POINTS, steps[0], steps[1], rank):
            points += len(series)
            if limit is not None and points > limit:
                raise _TooFullError
            for step, value in zip(series.steps, series.values, strict=True):
                rows.setdefault(step, {})[series.metric] = value
    return rows, points
