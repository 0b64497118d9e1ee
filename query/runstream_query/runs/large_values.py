"""Handles values that are too large for a message, and limits the runs of one page.

A list shows the size of such a value in its place; a request for the run alone reads the value itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runstream_query.base.storage import Storage

LONGEST_IN_LIST = 64 << 10
"""Bytes of one value in a list of runs: only a request for the run alone returns a larger value."""
MOST_IN_LIST = 1 << 20
"""Bytes of all config and summary values of one run in a list."""
MOST_KEYS_IN_LIST = 20_000
"""Keys of one run's config, and of its summary, in a list."""
MOST_KEYS_IN_PAGE, MOST_IN_PAGE = 20_000, 2 << 20
"""Keys and bytes of all runs of a page: a page that has more ends earlier, but holds one run at least."""
MOST_AT_ONCE = 160 << 20
"""Bytes of all large values that one answer carries."""
_MARK = "\x1epieces "


@dataclass(frozen=True, slots=True)
class LargeValue:
    """A value that is replaced by a note on its size.

    `digest`, `pieces`: which rows hold its parts, and how many there are. They are empty and 0 for a value in one piece
    that is longer than a list carries.
    """

    section: str
    key: str
    digest: str
    pieces: int
    size_bytes: int

    @classmethod
    def of(cls, section: str, key: str, value: object) -> LargeValue | None:
        """Return the large value that the mark `value` represents; None where `value` is not a mark."""
        if not isinstance(value, str) or not value.startswith(_MARK):
            return None
        parts = value.removeprefix(_MARK).split(" ")
        if len(parts) != 3 or not (parts[1].isdecimal() and parts[2].isdecimal()) or len(value) > 100:
            return None
        return cls(section, key, parts[0], int(parts[1]), int(parts[2]))

    def shown(self) -> str:
        """Return the note that is shown in place of the value."""
        return f"({self.size_bytes:,} bytes: too large to be shown here)"


def fitting(weights: Iterable[tuple[int, int]]) -> int:
    """Return how many of these runs fit on one page. `weights`: the keys and bytes of each run."""
    keys = size = count = 0
    for run_keys, run_bytes in weights:
        keys, size = keys + run_keys, size + run_bytes
        if count and (keys > MOST_KEYS_IN_PAGE or size > MOST_IN_PAGE):
            break
        count += 1
    return count


async def read(storage: Storage, project: str, run: str, found: Sequence[LargeValue]) -> dict[LargeValue, str]:
    """Return the JSON of each value that is complete, MOST_AT_ONCE bytes at most in all. Raises StorageError."""
    texts: dict[LargeValue, str] = {}
    room = MOST_AT_ONCE
    for one in found:
        if one.size_bytes > room or not one.pieces:
            continue
        prefix = f"{one.section}\x1f{one.key}\x1f{one.digest}\x1f"
        rows = await storage.rows("field_pieces", project=project, run=run, prefix=prefix)
        value = "".join(row["value"] for row in rows)
        if (
            len(rows) == one.pieces and len(value.encode()) == one.size_bytes
        ):  # otherwise pieces are still to arrive, or lost
            texts[one] = value
            room -= one.size_bytes
    return texts
