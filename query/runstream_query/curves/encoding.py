"""Encode curves as messages, whole columns at a time: a million numbers need no million Python objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.curves.buckets import Ints
from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_query import CurveQuery
from runstream_query.curves.smoothing import smooth

_NUMBERS = {field.name: field.number for field in pb.Curve.DESCRIPTOR.fields}
_CURVES = pb.GetCurvesResponse.DESCRIPTOR.fields_by_name["curves"].number
_LENGTH_DELIMITED = 2
_BATCH = 1 << 19
"""Buckets of the curves that are encoded together: they take 100 MB of arrays."""
_FEW = 3
"""Varints of up to so many bytes are written faster byte by byte."""
_SPREAD = 8
"""Bytes of the longest varint that fits into 64 bits."""
_MOVES = [
    (np.uint64(low), np.uint64(high), np.uint64(by))
    for low, high, by in (
        (0x0000_0000_0FFF_FFFF, 0x00FF_FFFF_F000_0000, 4),
        (0x0000_3FFF_0000_3FFF, 0x0FFF_C000_0FFF_C000, 2),
        (0x007F_007F_007F_007F, 0x3F80_3F80_3F80_3F80, 1),
    )
]
"""The steps of `_spread`: the bits that stay, the bits that move, and how far."""
_CONTINUED = np.array(
    [0, *(0x8080_8080_8080_8080 >> 8 * (_SPREAD - size + 1) for size in range(1, _SPREAD + 1))], dtype=np.uint64
)
"""By size: in each byte but the last, the bit that says that another byte follows."""
_DOUBLES = {"firsts": "first", "lasts": "last", "mins": "minimum", "maxs": "maximum", "means": "means"}
_SIGNED = {"first_steps": "first_step", "last_steps": "last_step", "first_times_us": "earliest_us"}
_UNSIGNED = {"counts": "points", "not_finite": "not_finite"}


def encode_curves(curves: Sequence[Curve], query: CurveQuery) -> pb.GetCurvesResponse:
    """Return the response, with the requested columns of each curve."""
    response = pb.GetCurvesResponse()
    for batch in _batches(curves):
        numbers = {
            field: varints([getattr(curve.buckets, name) for curve in batch], signed=field in _SIGNED)
            for field, name in (_SIGNED | _UNSIGNED).items()
            if field in query.columns
        }
        parts: list[Any] = []
        for place, curve in enumerate(batch):
            parts += _message(curve, query, {name: encoded[place] for name, encoded in numbers.items()})
        response.MergeFromString(b"".join(parts))
    return response


def _message(curve: Curve, query: CurveQuery, numbers: dict[str, Any]) -> list[Any]:
    """Return one element of `curves`, as pieces of the encoded message."""
    named = pb.Curve(
        run=curve.run,
        metric=curve.metric,
        rank=curve.rank if query.each_rank else 0,
        bucket_width=curve.width,
        x_width=curve.x_width,
    ).SerializeToString()
    pieces = [named]
    for name, column in _doubles(curve, query):
        pieces += [_head(_NUMBERS[name], 8 * len(column)), column.tobytes()]
    for name, encoded in numbers.items():
        pieces += [_head(_NUMBERS[name], len(encoded)), encoded]
    return [_head(_CURVES, sum(map(len, pieces))), *pieces]


def _doubles(curve: Curve, query: CurveQuery) -> Iterator[tuple[str, NDArray[np.float64]]]:
    for field, name in _DOUBLES.items():
        if field in query.columns:
            yield field, getattr(curve.buckets, name)
    if curve.xs is not None and "xs" in query.columns:
        yield "xs", curve.xs
    if query.smoothing is not None and "smoothed" in query.columns:
        yield "smoothed", smooth(curve.buckets.means, query.smoothing)


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
    """Return the bytes of each column as a packed field.

    `signed`: encode as zigzag, as sint64 does. Otherwise no number may be negative.
    """
    whole = np.concatenate(columns)
    numbers = ((whole << 1) ^ (whole >> 63) if signed else whole).view(np.uint64)
    most = _size(int(numbers.max(initial=0)))
    least = _size(int(numbers.min(initial=(1 << 64) - 1))) if len(numbers) else most
    sizes = np.full(len(numbers), least, dtype=np.int64)
    for size in range(least, most):
        sizes += numbers >= np.uint64(1 << 7 * size)
    table = _spread(numbers, sizes, most) if _FEW < most <= _SPREAD else _byte_by_byte(numbers, sizes, most)
    data = table.ravel() if least == most else table[_inside(sizes, most)]
    ends = np.concatenate(([0], np.cumsum(sizes)))[np.concatenate(([0], np.cumsum([len(one) for one in columns])))]
    view = memoryview(data.tobytes())
    return [view[start:end] for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]


def _inside(sizes: Any, most: int) -> Any:
    """Return which bytes belong to a number, (N, most)."""
    inside = np.empty((len(sizes), most), dtype=bool)
    for byte in range(most):
        inside[:, byte] = sizes > byte
    return inside


def _size(number: int) -> int:
    """Return the number of bytes of the varint."""
    return max(-(-number.bit_length() // 7), 1)


def _spread(numbers: Any, sizes: Any, most: int) -> Any:
    """Return the bytes, (N, most), of numbers of up to 56 bits; bytes beyond the size of a number are 0.

    All groups of seven bits are moved to their bytes at once: halves first, then quarters, then eighths.
    """
    wide = numbers
    for low, high, by in _MOVES:
        wide = (wide & low) | (wide & high) << by
    wide |= _CONTINUED[sizes]
    return np.ascontiguousarray(wide.astype("<u8", copy=False)).view(np.uint8).reshape(-1, 8)[:, :most]


def _byte_by_byte(numbers: Any, sizes: Any, most: int) -> Any:
    """Return what `_spread` does, for numbers of any size."""
    table = np.empty((len(numbers), most), dtype=np.uint8)
    for byte in range(most):
        table[:, byte] = (numbers >> np.uint64(7 * byte)).astype(np.uint8) & 0x7F
        if byte + 1 < most:
            table[:, byte] |= (sizes > byte + 1).astype(np.uint8) << 7
    return table


@lru_cache(1 << 12)
def _head(number: int, length: int) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(length)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
