"""Find what has changed in a table since its parts were last listed.

A part never changes: merges, inserts and deletions make new ones. A part's name tells which blocks of rows it holds:
`202609_3_17_2` holds blocks 3 to 17 of a partition, and `202609_3_17_2_21` holds the same blocks after mutation 21.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Blocks:
    """A range of blocks of a partition, all in the state after one mutation ('' means before any)."""

    partition: str
    mutation: str
    low: int
    high: int


Ranges = dict[tuple[str, str], list[tuple[int, int]]]
"""By partition and mutation, ranges in order; neighbours are joined."""


def fresh_parts(before: Iterable[str], now: Iterable[str]) -> list[str] | None:
    """Return the active parts that may hold rows which were not there before.

    None means that rows may have gone, or changed, anywhere.
    """
    old, new = {name: _blocks(name) for name in before}, {name: _blocks(name) for name in now}
    if not all((*old.values(), *new.values())):  # some names have another form
        return [] if old.keys() == new.keys() else None
    known, found = _ranges(old.values()), _ranges(new.values())
    gone = any(not _covered(low, high, found.get(state, [])) for state, held in known.items() for low, high in held)
    mutated = any(mutation and (partition, mutation) not in known for partition, mutation in found)
    if gone or mutated:
        return None
    return [
        name
        for name, pieces in new.items()
        if not all(_covered(one.low, one.high, known.get((one.partition, one.mutation), [])) for one in pieces)
    ]


def _blocks(name: str) -> list[Blocks]:
    """Return the blocks of a part; an empty list for a name of another form.

    A mutation has a number among the blocks and changes those before it. Later blocks that were merged into the same
    part are unchanged.
    """
    pieces = name.split("_")
    if len(pieces) not in (4, 5) or not all(piece.isdecimal() for piece in pieces[1:]):
        return []
    partition, low, high = pieces[0], int(pieces[1]), int(pieces[2])
    if len(pieces) == 4:
        return [Blocks(partition, "", low, high)]
    mutation = int(pieces[4])
    found = [
        Blocks(partition, pieces[4], low, min(high, mutation - 1)),
        Blocks(partition, "", max(low, mutation + 1), high),
    ]
    return [one for one in found if one.low <= one.high]


def _ranges(parts: Iterable[list[Blocks]]) -> Ranges:
    found: Ranges = defaultdict(list)
    for one in sorted((one for part in parts for one in part), key=lambda one: one.low):
        ranges = found[one.partition, one.mutation]
        if ranges and one.low <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(one.high, ranges[-1][1]))
        else:
            ranges.append((one.low, one.high))
    return dict(found)


def _covered(low: int, high: int, ranges: list[tuple[int, int]]) -> bool:
    return any(first <= low and high <= last for first, last in ranges)
