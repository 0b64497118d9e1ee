"""Curves as messages: whole columns on the wire's own terms, no Python object for each of a million numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.curves.asked import Asked
from runstream_query.curves.buckets import Ints
from runstream_query.curves.curve import Curve
from runstream_query.curves.smoothing import smooth

_NUMBERS = {field.name: field.number for field in pb.Curve.DESCRIPTOR.fields}
_LENGTH_DELIMITED = 2
_BATCH = 1 << 19
"""Buckets of curves that are encoded together: 100 MB of arrays on the way."""
_DOUBLES = {"firsts": "first", "lasts": "last", "mins": "minimum", "maxs": "maximum", "means": "means"}
_SIGNED = {"first_steps": "first_step", "last_steps": "last_step", "first_times_us": "earliest_us"}
_UNSIGNED = {"counts": "points", "not_finite": "not_finite"}


def fill(response: pb.GetCurvesResponse, curves: Sequence[Curve], asked: Asked) -> None:
    """Append the curves, with the columns that were asked for."""
    for batch in _batches(curves):
        numbers = {
            field: varints([getattr(curve.buckets, name) for curve in batch], signed=field in _SIGNED)
            for field, name in (_SIGNED | _UNSIGNED).items()
            if field in asked.columns
        }
        for place, curve in enumerate(batch):
            into = response.curves.add()
            into.run, into.metric, into.rank = curve.run, curve.metric, curve.rank if asked.each else 0
            into.bucket_width, into.x_width = curve.width, curve.x_width
            fields = [(name, column.tobytes()) for name, column in _doubles(curve, asked)]
            fields += [(name, encoded[place]) for name, encoded in numbers.items()]
            into.MergeFromString(b"".join(part for name, data in fields for part in (_head(name, data), data)))


def _doubles(curve: Curve, asked: Asked) -> Iterator[tuple[str, NDArray[np.float64]]]:
    for field, name in _DOUBLES.items():
        if field in asked.columns:
            yield field, getattr(curve.buckets, name)
    if curve.xs is not None and "xs" in asked.columns:
        yield "xs", curve.xs
    if asked.smoothing is not None and "smoothed" in asked.columns:
        yield "smoothed", smooth(curve.buckets.means, asked.smoothing)


def _batches(curves: Sequence[Curve]) -> Iterator[list[Curve]]:
    batch: list[Curve] = []
    size = 0
    for curve in curves:
        batch.append(curve)
        size += len(curve.buckets)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def varints(columns: Sequence[Ints], *, signed: bool) -> list[Any]:
    """Each column as a packed field's bytes; `signed`: zigzag, as of sint64, else none may be negative."""
    whole = np.concatenate(columns)
    numbers = ((whole << 1) ^ (whole >> 63) if signed else whole).view(np.uint64)
    sizes = np.ones(len(numbers), dtype=np.int64)
    most, top = 1, int(numbers.max(initial=0))
    while top >> 7 * most:
        sizes += numbers >= np.uint64(1 << 7 * most)
        most += 1
    table = np.empty((len(numbers), most), dtype=np.uint8)
    for byte in range(most):
        table[:, byte] = (numbers >> np.uint64(7 * byte)).astype(np.uint8) & 0x7F
        if byte + 1 < most:
            table[:, byte] |= (sizes > byte + 1).astype(np.uint8) << 7
    even = int(sizes.min(initial=most)) == most
    data = table.ravel() if even else table[np.arange(most) < sizes[:, None]]
    ends = np.concatenate(([0], np.cumsum(sizes)))[np.concatenate(([0], np.cumsum([len(one) for one in columns])))]
    view = memoryview(data.tobytes())
    return [view[start:end] for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]


def _head(name: str, data: Any) -> bytes:
    return _varint(_NUMBERS[name] << 3 | _LENGTH_DELIMITED) + _varint(len(data))


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
