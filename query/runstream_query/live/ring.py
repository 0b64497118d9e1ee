"""Keep the last entries of a feed, within a bound of memory. It is pure."""

from __future__ import annotations

from collections import deque

from runstream_query.live.entry import FeedEntry


class Ring:
    """The last entries, numbered 1, 2, 3, ...; a reader holds nothing but the number that it has read."""

    def __init__(self) -> None:
        self._entries: deque[tuple[FeedEntry, int]] = deque()
        self.last = 0
        """The number of the newest entry."""
        self.bytes = 0

    @property
    def first(self) -> int:
        """The number of the oldest entry that is kept; one more than the last if none is kept."""
        return self.last + 1 - len(self._entries)

    def append(self, entry: FeedEntry, most_bytes: int) -> None:
        """Keep the entry, and drop the oldest while all take more than `most_bytes`; the newest is always kept."""
        if self._entries:
            self._entries[-1][0].forget()
        self.last += 1
        entry.number = self.last
        size = entry.bytes
        self._entries.append((entry, size))
        self.bytes += size
        while self.bytes > most_bytes and len(self._entries) > 1:
            self.bytes -= self._entries.popleft()[1]

    def has(self, number: int) -> bool:
        """Return whether all that follows this number is still here."""
        return self.first - 1 <= number <= self.last

    def after(self, number: int) -> FeedEntry | None:
        """Return the entry behind this number; None at the end. Call it only for a number that the ring `has`."""
        return self._entries[number + 1 - self.first][0] if number < self.last else None
