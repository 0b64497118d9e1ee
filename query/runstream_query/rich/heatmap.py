"""Turn histograms over steps into heat maps, piece by piece: memory grows with the answer, not with the input."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runstream_proto.v1 import rich_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.storage import Storage
from runstream_query.rich.merging import MergedBins, merge, usable

MAX_COLUMNS = 1000
MAX_BINS = 1000
MAX_HISTOGRAMS = 200_000
"""Histograms that are read for one answer: merging them takes about 2 s."""
MAX_CELLS = 4_000_000
"""Bins of all columns of one answer: they take 64 MB."""
_AT_ONCE = 2000
"""Histograms in memory at a time: 2 MB if each has 64 bins, 16 MB if it has 512."""


@dataclass(frozen=True, slots=True)
class LoggedHistogram:
    rank: int
    step: int
    time_us: int
    binned: MergedBins


class HeatMapBuilder:
    """Builds heat maps. Add columns in the order of their steps."""

    def __init__(self, bins: int, each_rank: bool) -> None:
        self._bins = bins
        self._each_rank = each_rank
        self._columns: dict[int, list[pb.HistogramColumn]] = defaultdict(list)
        self._cells = 0
        self.unusable = 0

    def add(self, logged: Sequence[LoggedHistogram]) -> None:
        """Add one column of neighbouring steps, or one a rank if each rank has its own. Raise InvalidRequestError."""
        by_rank: dict[int, list[LoggedHistogram]] = defaultdict(list)
        for one in logged:
            if usable(one.binned.edges, one.binned.counts):
                by_rank[one.rank if self._each_rank else 0].append(one)
            else:
                self.unusable += 1
        for rank, found in by_rank.items():
            merged = merge([one.binned for one in found], self._bins)
            self._cells += len(merged.counts)
            if self._cells > MAX_CELLS:
                raise InvalidRequestError(
                    f"the heat maps have more than {MAX_CELLS} bins: request fewer columns, bins or ranks"
                )
            self._columns[rank].append(
                pb.HistogramColumn(
                    rank=rank,
                    first_step=found[0].step,
                    last_step=found[-1].step,
                    histograms=len(found),
                    edges=merged.edges,
                    counts=merged.counts,
                    exact=merged.exact,
                    time_us=max(one.time_us for one in found),
                )
            )

    def heat_maps(self) -> Iterator[pb.HeatMap]:
        for rank, columns in sorted(self._columns.items()):
            yield pb.HeatMap(
                rank=rank,
                columns=columns,
                lowest=min(column.edges[0] for column in columns),
                highest=max(column.edges[-1] for column in columns),
                largest_count=max(max(column.counts) for column in columns),
            )


async def heat_maps(
    storage: Storage, parameters: dict[str, Any], columns: int, bins: int, *, each_rank: bool, raw: bool
) -> pb.GetHistogramsResponse:
    """Return heat maps of at most `columns` columns and `bins` bins.

    `parameters` holds the parameters of `histograms.sql`. With `raw` each histogram becomes a column. Raise
    InvalidRequestError if there is too much to read; StorageError.
    """
    found = await storage.columns("histogram_steps", **parameters)
    steps, counts = found["step"].astype(np.int64), found["histograms"].astype(np.int64)
    total = int(counts.sum())
    if total > (MAX_COLUMNS if raw else MAX_HISTOGRAMS):
        raise InvalidRequestError(
            f"{total} histograms lie in the range: at most {MAX_COLUMNS if raw else MAX_HISTOGRAMS} are read at once; "
            "narrow min_step, max_step or ranks"
        )
    response = pb.GetHistogramsResponse(histograms=total, steps=steps[-10_000:].tolist())
    sheet = HeatMapBuilder(bins, each_rank)
    every = 1 if raw else max(-(-len(steps) // columns), 1)
    async for rows in _read(storage, parameters, steps, counts, every):
        groups = [[row] for row in rows] if raw else _grouped(rows, steps, every)
        await asyncio.to_thread(_add_all, sheet, groups)
    response.heat_maps.extend(sheet.heat_maps())
    response.unusable = sheet.unusable
    return response


def _add_all(sheet: HeatMapBuilder, groups: list[list[LoggedHistogram]]) -> None:
    for group in groups:
        sheet.add(group)


def _grouped(rows: list[LoggedHistogram], steps: Any, every: int) -> list[list[LoggedHistogram]]:
    """Return the rows by column; each column has `every` neighbouring steps.

    Rows come in the order of their steps, and a column is never cut.
    """
    groups: dict[int, list[LoggedHistogram]] = {}
    for row, place in zip(rows, np.searchsorted(steps, [row.step for row in rows]), strict=True):
        groups.setdefault(int(place) // every, []).append(row)
    return list(groups.values())


async def _read(
    storage: Storage, parameters: dict[str, Any], steps: Any, counts: Any, every: int
) -> AsyncIterator[list[LoggedHistogram]]:
    """Yield the rows of whole columns, about `_AT_ONCE` histograms at a time."""
    start = 0
    while start < len(steps):
        end = start + every
        while end < len(steps) and int(counts[start : end + every].sum()) <= _AT_ONCE:
            end += every
        part = {**parameters, "min_step": int(steps[start]), "max_step": int(steps[min(end, len(steps)) - 1])}
        rows = await storage.columns("histograms", **part)
        yield [
            LoggedHistogram(
                int(rank), int(step), int(time_us), MergedBins(np.asarray(edges, float), np.asarray(binned, float))
            )
            for rank, step, edges, binned, time_us in zip(*rows.values(), strict=True)
        ]
        start = end
