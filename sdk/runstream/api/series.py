"""Raw points of one metric and rank, as columns."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
