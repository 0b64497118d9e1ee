"""Raw points of one metric and rank, as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runstream.api.connection import Connection
    from runstream.api.run_reference import RunReference
    from runstream_proto.v1 import query_pb2 as pb


class StoredSeries:
    """Columns of equal length: steps (int64), values (float64), times (int64, microseconds since 1970)."""

    __slots__ = ("metric", "rank", "steps", "times_us", "values")

    def __init__(self, found: pb.Series) -> None:
        self.metric = found.metric
        self.rank = found.rank
        self.steps = array("q", found.steps)
        self.values = array("d", found.values)
        self.times_us = array("q", found.times_us)

    def __len__(self) -> int:
        return len(self.steps)


def read_series(
    api: Connection,
    run: RunReference,
    names: Sequence[str],
    page_size: int,
    min_step: int | None,
    max_step: int | None,
    rank: int | None,
) -> Iterator[StoredSeries]:
    """See `StoredRun.series`."""
    from runstream_proto.v1 import query_pb2 as pb

    for start in range(0, len(names), 1000):
        request = pb.GetHistoryRequest(
            team=run.entity,
            project=run.project,
            run=run.id,
            metrics=names[start : start + 1000],
            ranks=[] if rank is None else [rank],
            min_step=min_step,
            max_step=max_step,
            page_size=page_size,
        )
        while True:
            response = api.ask("GetHistory", request)
            yield from (StoredSeries(found) for found in response.series)
            if not response.next_page_token:
                break
            request.page_token = response.next_page_token
