"""When the road to the storage listened, and how long a run must have been silent meanwhile to count as crashed.

The writer notes for each partition of the bus up to which moment everything that the bus accepted is stored, and in
which periods that moment went on without a gap (table `listening`). Silence counts within these periods only: while
the road is behind or stands still, nothing can be heard of a run that lives. Decision 32.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TABLE = "listening"
VIEWS_CRASH_AFTER_US = 300_000_000
"""What the views `runs_now` and `streams_now` take for silence: they cannot ask for RUNSTREAM_CRASH_AFTER_S."""
MAX_PERIODS = 16

Period = tuple[int, int]
"""Began and ended, microseconds since 1970 by the servers' clocks."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of one partition."""

    bus: str
    """`kafka/TOPIC`, or `local`."""
    partition: int
    partitions: int
    """How many the bus had when this was written."""
    until_us: int
    """Everything that the bus accepted for the partition before this moment is stored."""
    periods: Sequence[Period]
    """In order and apart, the last ones only. Empty where the partition was never listened to."""


def silent_before(periods: Sequence[Period], crash_after_us: int) -> int | None:
    """Return the moment since which the server has listened for `crash_after_us`, in microseconds since 1970.

    Without a period there is None. The time before the first known period counts as time in which the server listened.
    """
    left = crash_after_us
    for began, ended in reversed(periods):
        if ended - began >= left:
            return ended - left
        left -= max(ended - began, 0)
    return periods[0][0] - left if periods else None


def heard_since(marks: Iterable[Mark], crash_after_us: int, now_us: int) -> int:
    """Return when a run that said no goodbye must have been heard of to count as alive, microseconds since 1970.

    The most careful partition decides: a run's ranks lie on any of them. Marks of a bus that is no longer used, and of
    partitions that the bus no longer has, count for nothing, or they would hold the moment for ever. Never later than
    `crash_after_us` before `now_us`, which also holds where there are no marks: those of a clock that was ahead must
    not call all runs crashed.
    """
    known = list(marks)
    moments = [now_us - crash_after_us]
    if known:
        newest = max(known, key=lambda mark: mark.until_us)
        moments += [
            moment
            for mark in known
            if mark.bus == newest.bus and mark.partition < newest.partitions
            if (moment := silent_before(mark.periods, crash_after_us)) is not None
        ]
    return min(moments)


def shortened(periods: Sequence[Period]) -> tuple[Period, ...]:
    """Return at most MAX_PERIODS periods: the shortest are forgotten, but never the last one.

    What is forgotten makes runs count as alive for longer, and never as crashed earlier. Where a server starts again
    and again, the long periods before stay known.
    """
    kept = list(periods)
    while len(kept) > MAX_PERIODS:
        del kept[min(range(len(kept) - 1), key=lambda place: kept[place][1] - kept[place][0])]
    return tuple(kept)
