"""One curve of an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.curves.asked import Asked
from runstream_query.curves.buckets import Buckets
from runstream_query.curves.smoothing import smooth

_NUMBERS = {field.name: field.number for field in pb.Curve.DESCRIPTOR.fields}
_LENGTH_DELIMITED = 2
_ONE_BYTE = 128
_UNSIGNED = frozenset({"counts", "not_finite"})


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
    """Fill the message `into` with the columns that were asked for."""
    found, wanted = curve.buckets, asked.columns
    into.run, into.metric, into.rank = curve.run, curve.metric, curve.rank if asked.each else 0
    into.bucket_width, into.x_width = curve.width, curve.x_width
    means = found.means
    doubles = {
        "firsts": found.first,
        "lasts": found.last,
        "mins": found.minimum,
        "maxs": found.maximum,
        "means": means,
    }
    if curve.xs is not None:
        doubles["xs"] = curve.xs
    if asked.smoothing is not None:
        doubles["smoothed"] = smooth(means, asked.smoothing)
    parts = [_packed(name, column.tobytes()) for name, column in doubles.items() if name in wanted]
    whole = {
        "counts": found.points,
        "not_finite": found.not_finite,
        "first_steps": found.first_step,
        "last_steps": found.last_step,
        "first_times_us": found.earliest_us,
    }
    for name, column in whole.items():
        if name not in wanted:
            continue
        if name in _UNSIGNED and len(column) and column.max() < _ONE_BYTE:
            parts.append(_packed(name, column.astype(np.uint8).tobytes()))
        else:
            getattr(into, name).extend(column.tolist())
    into.MergeFromString(b"".join(parts))


def _packed(name: str, data: bytes) -> bytes:
    """A repeated field on the wire. Doubles lie there as they lie in memory (little-endian), whole numbers below 128
    take a byte each: no Python object for each of a million numbers."""
    return _varint(_NUMBERS[name] << 3 | _LENGTH_DELIMITED) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
