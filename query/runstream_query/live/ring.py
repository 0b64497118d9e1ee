"""The last entries of a feed, within a bound of memory. Pure."""

from __future__ import annotations

from collections import deque

from runstream_query.live.entry import Entry


class Ring:
    """Entries are numbered 1, 2, 3, ...; a reader holds nothing but the number that it has read."""

    def __init__(self) -> None:
        self._entries: deque[tuple[Entry, int]] = deque()
        self.last = 0
        """Number of the newest entry."""
        self.bytes = 0

    @property
    def first(self) -> int:
        """Number of the oldest entry that is kept; one beyond the last where there is none."""
        return self.last + 1 - len(self._entries)

    def append(self, entry: Entry, most_bytes: int) -> None:
        """Keep it, and drop the oldest where there are more than `most_bytes`; the newest is always kept."""
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
        """Whether all that follows this number is still here."""
        return self.first - 1 <= number <= self.last

    def after(self, number: int) -> Entry | None:
        """The entry behind this number; None at the end. Only for a number that the ring `has`."""
        return self._entries[number + 1 - self.first][0] if number < self.last else None
