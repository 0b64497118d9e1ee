"""The claim protocol: how threads share the bytes of a segment without a lock.

A chain is made of stretches. In a stretch each record is a row: `claims` maps its number to its bytes. To claim the
place after record n, pack the row with the number n + 1 and call `claims.setdefault(n + 1, row)`: the thread that gets
its own bytes back has the place, all others go on from there and try again. `setdefault` is one step for the
interpreter, with and without a global lock, so exactly one claim follows each claim, wherever the interpreter switches
threads, runs a signal handler, a finalizer or a trace function, or starts the garbage collector. (This is the enqueue
of the queue of Michael and Scott, PODC 1996, with a garbage collector, hence without its ABA problem.) Where a row
begins follows from the sizes of those before it.

A record that is no row is claimed in the same way: the value is the stretch that follows, which says where its rows
begin. The end of a chain is claimed so, too: the value is a stretch that is `shut`. So the same one step decides each
record's place, the content of a segment, where it ends and what its successor begins with.

`Chain.tail` is a hint: any place of the chain works, a late one saves steps. Stretches to which nothing refers are
freed. A thread that stands still keeps everything after its own place alive: rows' bytes, which the garbage collector
does not examine, and few stretches.
"""

from __future__ import annotations

from collections.abc import Callable

from runstream.spool import format

STRETCH_BYTES = 16 << 10
_ROW_OVERHEAD = format.PREFIX.size + format.ROW_HEAD_BYTES
_SHUT = -1


class Stretch:
    """Rows that follow one another, and the claim by which they end."""

    __slots__ = ("claim", "claims", "end", "limit", "points", "records", "start", "successor")

    def __init__(self, start: int, records: int, points: int, limit: int) -> None:
        """Make a stretch without claims.

        `start` is where its first row begins; `records` and `points` are the stream's numbers before it.
        """
        self.start = start
        self.records = records
        self.points = points
        self.limit = limit
        """The offset where its rows end. If it is negative, the chain ends with this stretch, and no claim follows."""
        self.claims: dict[int, bytes | Stretch] = {}
        """Maps a record number to a row's bytes without their prefix, or, once, to the stretch that follows."""
        self.claim: Callable[[int, bytes | Stretch], bytes | Stretch] = self.claims.setdefault
        self.successor: Chain | None = None
        """For a stretch that is shut, the chain of the segment that follows; None where the stream has ended."""
        self.end = 0
        """For a stretch that is shut, the offset where the records of its segment end."""

    @property
    def shut(self) -> bool:
        return self.limit < 0

    def points_before(self, start: int, records: int) -> int:
        """Return the stream's points before the row of this stretch that begins at `start`, after `records` records."""
        return self.points + (start - self.start - _ROW_OVERHEAD * (records - self.records)) // 8


def shut(records: int, points: int, end: int, successor: Chain | None) -> Stretch:
    """Return a stretch that ends a chain. `records` and `points` are the stream's numbers up to there."""
    stretch = Stretch(end, records, points, _SHUT)
    stretch.end, stretch.successor = end, successor
    return stretch


Tail = tuple[int, int, Stretch]
"""A place in a chain: the offset of the next record, the number of records before it, and the stretch that it is in."""


class Chain:
    """The claims of one segment."""

    __slots__ = ("limit", "tail")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """The offset where records end."""
        self.tail: Tail
        """A place of the chain, mostly the last one. Nothing refers to earlier places, so they are freed."""
        self.begin(0, 0)

    def begin(self, records: int, points: int) -> None:
        """Begin a chain after these records and points. No other thread may know the chain yet."""
        first = Stretch(format.HEADER_BYTES, records, points, self._stretch_limit(format.HEADER_BYTES))
        self.tail = (format.HEADER_BYTES, records, first)

    def last(self) -> Tail:
        """Follow the chain to its end, and return it."""
        start, records, stretch = self.tail
        while (claimed := stretch.claims.get(records + 1)) is not None:
            if isinstance(claimed, bytes):
                start += format.PREFIX.size + len(claimed)
                records += 1
            else:
                start, records, stretch = claimed.start, claimed.records, claimed
        return start, records, stretch

    def make_room(self, span: int) -> bool:
        """Ensure that the tail's stretch has room for a row of `span` bytes, with its prefix.

        Return False when the segment has no room, or has ended.
        """
        while True:
            start, records, stretch = tail = self.last()
            end = start + span
            if end <= stretch.limit:
                self.tail = tail
                return True
            if stretch.shut or end > self.limit:
                return False
            points = stretch.points_before(start, records)
            stretch.claim(records + 1, Stretch(start, records, points, max(end, self._stretch_limit(start))))

    def follow(self, place: Tail, span: int, records: int, points: int) -> Stretch | None:
        """Return the stretch that follows when `span` bytes are claimed at `place` for so many records and points.

        Return None when the segment has no room, or has ended.
        """
        start, records_before, stretch = place
        end = start + span
        if stretch.shut or end > self.limit:
            return None
        points_before = stretch.points_before(start, records_before)
        return Stretch(end, records_before + records, points_before + points, self._stretch_limit(end))

    def _stretch_limit(self, start: int) -> int:
        return max(0, min(self.limit, start + STRETCH_BYTES))
