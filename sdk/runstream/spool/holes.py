"""The places of a segment that were claimed and not filled."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

from runstream.spool import format
from runstream.spool.segment import Segment

_VOID_BYTES = format.PREFIX.size + format.SIZED.size
"""The size of the smallest record, which is empty."""


class Hole:
    """Bytes that were claimed and not filled, between records that are filled."""

    __slots__ = ("end", "first_number", "numbers", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.first_number = 0
        self.numbers = 0
        """The number of record numbers that are missing there; 0 for a key list's definition, which has no number."""

    def records(self) -> Iterator[tuple[int, int, int]]:
        """Yield (start, bytes, number) of the records that fill the hole."""
        start = self.start
        for position in range(self.numbers - 1):
            yield start, _VOID_BYTES, self.first_number + position
            start += _VOID_BYTES
        yield start, self.end - start, self.first_number + self.numbers - 1 if self.numbers else 0


def walk(segment: Segment, end: int, records: int) -> tuple[int, list[Hole]]:
    """Count the points in the rows up to `end`, and find the holes. `records`: the records numbered up to `end`."""
    view, points, holes, unnumbered = segment.mapped, 0, list[Hole](), list[Hole]()
    offset, last = format.HEADER_BYTES, segment.records_before
    prefix, head = format.PREFIX.unpack_from, format.HEAD.unpack_from
    while offset < end:
        length = prefix(view, offset)[1]
        if not length:
            unnumbered.append(Hole(offset, _next_record(view, offset + 8, end)))
            offset = unnumbered[-1].end
            continue
        kind, _, number, _ = head(view, offset + 8)
        if kind == format.KIND_ROW:
            points += (length - format.ROW_HEAD_BYTES) // 8
        if number:
            holes += _number(unnumbered, last + 1, number)
            last, unnumbered = number, []
        offset += 8 + length
    return points, holes + _number(unnumbered, last + 1, records + 1)


def _number(holes: list[Hole], first: int, following: int) -> list[Hole]:
    """Assign the missing numbers `first` to `following` - 1 to the holes between two records that have numbers."""
    for hole in holes:
        hole.first_number = first
        hole.numbers = min(following - first, (hole.end - hole.start) // _VOID_BYTES)
        first += hole.numbers
    return holes


def _next_record(view: mmap.mmap | bytearray, start: int, end: int) -> int:
    """Return where the first complete record from `start` on begins; return `end` when there is none."""
    for offset in range(start, end - 32, 8):
        checksum, length = format.PREFIX.unpack_from(view, offset)
        fits = 24 <= length <= end - offset - 8 and not length & 7
        if fits and format.crc32(view[offset + 8 : offset + 8 + length]) == checksum:
            return offset
    return end
