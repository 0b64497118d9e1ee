"""Define what all readers of curves have in common."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from runstream_query.base.storage import Storage
from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_plan import KnownSeries
from runstream_query.curves.curve_query import CurveQuery

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ReadContext:
    """Hold what all readers of one answer share: where they read, and for which request."""

    storage: Storage
    project: str
    query: CurveQuery
    started_us: Mapping[str, int]
    """When each run began, where the axis is time."""

    def times_us(self, run: str) -> tuple[int, int]:
        """Return the requested range of times of a run, microseconds since 1970."""
        return self.query.times_us(self.started_us.get(run, 0))


class CurveReader(Protocol):
    """Read series in one way."""

    async def read(self, series: Sequence[KnownSeries]) -> list[Curve]:
        """Return the curves of these series, in any order. Raises StorageError, QueryError.

        Where one curve a rank is requested, a series has a curve for each rank. Curves without points are left out.
        """


@contextlib.asynccontextmanager
async def beside(work: Awaitable[Result]) -> AsyncIterator[asyncio.Future[Result]]:
    """Do the work beside the block; when the block ends, work that nobody has waited for ends, too."""
    future = asyncio.ensure_future(work)
    try:
        yield future
    finally:
        future.cancel()
        await asyncio.gather(future, return_exceptions=True)
