"""Find batches that have just been stored, report each once, and compute the ranges of their points. It is pure."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runstream_common.identity import version
from runstream_query.live import limits


@dataclass(frozen=True, slots=True)
class Arrival:
    """A row of the ledger. Record numbers and steps are inclusive."""

    run: str
    writer: str
    batch: int
    rank: int
    epoch: int
    first_record: int
    last_record: int
    points: int
    documents: int
    low_step: int
    high_step: int


class SeenBatches:
    """The batches that were reported already.

    Queries overlap in time, so several may return the same batch; it counts once.
    """

    def __init__(self, most: int = limits.MAX_SEEN) -> None:
        self._most = most
        self._seen: OrderedDict[tuple[str, str, int], float] = OrderedDict()
        self.floor_s = float("-inf")
        """Batches first seen before this moment may be forgotten: no query may reach back behind it."""

    def fresh(self, arrivals: Iterable[Arrival], now_s: float) -> list[Arrival]:
        """Return the batches that were not seen before, and remember them. `now_s` is of a monotonic clock."""
        found = []
        for arrival in arrivals:
            name = (arrival.run, arrival.writer, arrival.batch)
            if name not in self._seen:
                self._seen[name] = now_s
                found.append(arrival)
        while self._seen and (len(self._seen) > self._most or self._oldest() < now_s - 2 * limits.FAR_S):
            self.floor_s = self._seen.popitem(last=False)[1]
        return found

    def reach_s(self, wanted_s: float, now_s: float) -> float:
        """Return how many seconds a query may reach back when it would reach back `wanted_s`."""
        return max(min(wanted_s, now_s - self.floor_s), 0.0)

    def _oldest(self) -> float:
        return next(iter(self._seen.values()))


@dataclass(frozen=True, slots=True)
class Range:
    """Records of one process as a range of versions; both ends are inclusive."""

    epoch: int
    rank: int
    low: int
    high: int
    low_step: int
    high_step: int


def ranges_of(arrivals: Iterable[Arrival]) -> list[Range]:
    """Return ranges of records in the order of epoch and number. Ranges that touch are joined."""
    by_epoch: dict[int, list[Range]] = defaultdict(list)
    for one in sorted(arrivals, key=lambda one: (one.epoch, one.first_record)):
        low, high = version(one.epoch, one.first_record), version(one.epoch, one.last_record)
        found = by_epoch[one.epoch]
        if found and found[-1].high + 1 >= low:
            last = found[-1]
            found[-1] = replace(
                last,
                high=max(last.high, high),
                low_step=min(last.low_step, one.low_step),
                high_step=max(last.high_step, one.high_step),
            )
        else:
            found.append(Range(one.epoch, one.rank, low, high, one.low_step, one.high_step))
    return [found for ranges in by_epoch.values() for found in ranges]


@dataclass(frozen=True, slots=True)
class PointsQuery:
    """Ranges that one query reads, at most one of each epoch."""

    ranges: tuple[Range, ...]

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "epochs": [one.epoch for one in self.ranges],
            "lows": [one.low for one in self.ranges],
            "highs": [one.high for one in self.ranges],
        }

    @property
    def ranks(self) -> list[int]:
        return sorted({one.rank for one in self.ranges})

    @property
    def steps(self) -> tuple[int, int]:
        return min(one.low_step for one in self.ranges), max(one.high_step for one in self.ranges)


def queries_of(ranges: Sequence[Range], *, by_step: bool) -> list[PointsQuery]:
    """Return few queries that together read all ranges.

    Each query has at most one range of an epoch; with `by_step` also only steps that lie near together.
    """
    clusters: list[list[Range]] = []
    if by_step:
        reached = 0
        for one in sorted(ranges, key=lambda one: one.low_step):
            far = not clusters or one.low_step > reached + limits.STEP_GAP
            if far and len(clusters) < limits.MAX_CLUSTERS:
                clusters.append([])
                reached = one.high_step
            clusters[-1].append(one)
            reached = max(reached, one.high_step)
    elif ranges:
        clusters = [list(ranges)]
    return [query for cluster in clusters for query in _rounds(cluster)]


def _rounds(ranges: Sequence[Range]) -> list[PointsQuery]:
    by_epoch: dict[int, list[Range]] = {}
    for one in sorted(ranges, key=lambda one: one.low):
        by_epoch.setdefault(one.epoch, []).append(one)
    deepest = max(map(len, by_epoch.values()))
    if deepest > limits.MAX_ROUNDS:
        by_epoch = {
            epoch: [_span(found)] for epoch, found in by_epoch.items()
        }  # some points arrive twice, which is harmless
        deepest = 1
    return [
        PointsQuery(tuple(found[depth] for found in by_epoch.values() if depth < len(found)))
        for depth in range(deepest)
    ]


def _span(ranges: Sequence[Range]) -> Range:
    return replace(
        ranges[0],
        high=ranges[-1].high,
        low_step=min(one.low_step for one in ranges),
        high_step=max(one.high_step for one in ranges),
    )
