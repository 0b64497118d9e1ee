"""The records that the writer puts into a segment's bytes, and reads back from them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from runstream.spool import format
from runstream.spool.segment import Segment


class Missing:
    """The points of one segment that were claimed and are not there."""

    __slots__ = ("given_up", "settled")

    def __init__(self) -> None:
        self.given_up: list[int] = []
        """The points that the threads that had claimed them gave up."""
        self.settled: int | None = None
        """The number of all of them, counted at the stream's end; it includes later additions to `given_up`."""

    @property
    def points(self) -> int:
        return sum(self.given_up) if self.settled is None else self.settled


def sized_record(kind: int, ident: int, number: int, time_us: int | None, data: bytes, span: int) -> bytes:
    """Return a complete record of `span` bytes."""
    record = bytearray(span)
    time_us = time.time_ns() // 1000 if time_us is None else time_us
    format.SIZED.pack_into(record, format.PREFIX.size, kind, ident, number, time_us, len(data))
    first = format.PREFIX.size + format.SIZED.size
    record[first : first + len(data)] = data
    with memoryview(record) as view:
        format.PREFIX.pack_into(record, 0, format.crc32(view[format.PREFIX.size :]), span - format.PREFIX.size)
    return bytes(record)


def definition_span(keys: tuple[str, ...]) -> int:
    """Return the largest number of bytes that the definition of a key list takes."""
    return format.PREFIX.size + format.padded(format.SIZED.size + sum(4 * len(key) + 1 for key in keys))


def last_rows(segment: Segment) -> dict[str, float]:
    """Return each key's value in the last row that had it, as far as one segment has it."""
    values: dict[str, float] = {}
    for keyset in sorted(segment.keysets.values(), key=lambda one: one.last):
        if keyset.last:
            row = keyset.layout.unpack_from(segment.mapped, keyset.last + format.PREFIX.size)
            values.update(zip(keyset.keys, row[4:], strict=True))
    return values


def split_keys(keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Return key lists of at most MAX_KEYS_PER_ROW, in order."""
    width = format.MAX_KEYS_PER_ROW
    return [tuple(keys[start : start + width]) for start in range(0, len(keys), width)]
