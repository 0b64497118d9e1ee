"""The highest known step of each series: a batch above it meets no stored row."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runstream_ingestor.writer.decode import DecodedBatch

_MAX_NAMES = 1_000_000
"""The most metrics, counted once for each rank: some 150 MB.

Ranks that were silent for longest are forgotten, and read from the storage again.
"""
_LOWEST = np.iinfo(np.int64).min
RankPath = tuple[str, str, str, int]
"""The team, project, run and rank."""


@dataclass(slots=True)
class _Rank:
    serial: int
    numbers: dict[str, int] = field(default_factory=dict)
    highest: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    known: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=bool))
    """For each metric, whether the storage was asked for rows from before this writer."""
    layouts: dict[tuple[str, ...], NDArray[np.intp]] = field(default_factory=dict)
    size: int = 0

    def indexes(self, keys: tuple[str, ...]) -> NDArray[np.intp]:
        found = self.layouts.get(keys)
        if found is None:
            numbers = self.numbers
            found = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
            new = len(numbers) - len(self.highest)
            self.highest = np.append(self.highest, np.full(new, _LOWEST))
            self.known = np.append(self.known, np.zeros(new, dtype=bool))
            self.layouts[keys] = found
            self.size += len(keys) + new
        return found


class HighestSteps:
    """The highest steps of all series.

    Batches are marked in the order in which they are stored; any thread may call.
    """

    def __init__(self) -> None:
        self._ranks: OrderedDict[RankPath, _Rank] = OrderedDict()
        self._names = 0
        self._serial = 0
        self._lock = threading.Lock()

    def mark(self, decoded: DecodedBatch) -> None:
        """Set in `may_replace` whether the batch may meet rows of earlier batches, stored or marked."""
        if not decoded.blocks:
            decoded.may_replace = False
            return
        with self._lock:
            rank = self._rank(rank_path(decoded))
            size = rank.size
            found = [
                (rank.indexes(block.keys), int(block.steps.min()), int(block.steps.max())) for block in decoded.blocks
            ]
            decoded.may_replace = any(
                not rank.known[indexes].all() or bool((rank.highest[indexes] >= low).any()) for indexes, low, _ in found
            )
            for indexes, _, high in found:
                rank.highest[indexes] = np.maximum(rank.highest[indexes], high)
            decoded.marked = rank.serial
            self._names += rank.size - size
            self._forget_some()

    def unknown(self, decoded: DecodedBatch) -> bool:
        """Return whether the storage was never asked about one of the batch's series."""
        with self._lock:
            rank = self._marked_in(decoded)
            return rank is None or not all(rank.known[rank.indexes(block.keys)].all() for block in decoded.blocks)

    def learn(self, batches: Sequence[DecodedBatch], stored: Mapping[RankPath, Mapping[str, int]]) -> None:
        """Note the storage's answer about the batches' series.

        `stored` has the highest step of each series that reaches the lowest step of the batches.
        """
        with self._lock:
            for decoded in batches:
                rank = self._marked_in(decoded)
                if rank is None:
                    continue  # the rank was forgotten meanwhile, with its marks
                for block in decoded.blocks:
                    rank.known[rank.indexes(block.keys)] = True
                for metric, top in stored.get(rank_path(decoded), {}).items():
                    number = rank.numbers.get(metric)
                    if number is not None:
                        rank.highest[number] = max(int(rank.highest[number]), top)

    def forget(self) -> None:
        """Forget everything: another writer may store from now on."""
        with self._lock:
            self._ranks.clear()
            self._names = 0

    def _rank(self, path: RankPath) -> _Rank:
        rank = self._ranks.get(path)
        if rank is None:
            self._serial += 1
            rank = self._ranks[path] = _Rank(self._serial)
        self._ranks.move_to_end(path)
        return rank

    def _marked_in(self, decoded: DecodedBatch) -> _Rank | None:
        """Return the rank in which the batch was marked, or None where it is forgotten."""
        rank = self._ranks.get(rank_path(decoded))
        return rank if rank is not None and rank.serial == decoded.marked else None

    def _forget_some(self) -> None:
        while self._names > _MAX_NAMES and len(self._ranks) > 1:
            _, rank = self._ranks.popitem(last=False)
            self._names -= rank.size


def rank_path(decoded: DecodedBatch) -> RankPath:
    origin = decoded.delivery.message.origin
    return origin.team, origin.project, origin.run, origin.rank
