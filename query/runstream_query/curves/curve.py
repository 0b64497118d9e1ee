"""One curve of an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.curves.asked import Asked
from runstream_query.curves.buckets import Buckets
from runstream_query.curves.smoothing import smooth


@dataclass(frozen=True, slots=True)
class Curve:
    run: str
    metric: str
    rank: int
    width: int
    """Of its buckets, steps; 1: point by point."""
    buckets: Buckets
    xs: NDArray[np.float64] | None = None
    """(B,): where each bucket begins, on an axis that is not the step."""
    x_width: float = 0.0


def to_message(curve: Curve, asked: Asked, into: pb.Curve) -> None:
    """Fill the message `into`."""
    found = curve.buckets
    into.run, into.metric, into.rank = curve.run, curve.metric, curve.rank if asked.each else 0
    into.bucket_width, into.x_width = curve.width, curve.x_width
    means = found.means
    columns = {
        "first_steps": found.first_step,
        "last_steps": found.last_step,
        "firsts": found.first,
        "lasts": found.last,
        "mins": found.minimum,
        "maxs": found.maximum,
        "means": means,
        "counts": found.points,
        "not_finite": found.not_finite,
        "first_times_us": found.earliest_us,
    }
    for name, column in columns.items():
        getattr(into, name).extend(column.tolist())
    if curve.xs is not None:
        into.xs.extend(curve.xs.tolist())
    if asked.smoothing is not None:
        into.smoothed.extend(smooth(means, asked.smoothing).tolist())
