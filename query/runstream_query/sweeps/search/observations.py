"""Hold the data that a model learns from: results, and trials under way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """A trial that ended.

    `values` has one value an objective, in their order; it is empty if the trial failed or never logged them.
    """

    chosen: Mapping[str, object]
    values: tuple[float, ...] = ()

    @property
    def usable(self) -> bool:
        return bool(self.values) and all(math.isfinite(value) for value in self.values)


@dataclass(frozen=True, slots=True)
class Observations:
    """The known results and running trials of a sweep.

    `results` are in the order in which they became known; `pending` are configurations of trials under way, by number.
    """

    results: Sequence[Result]
    pending: Sequence[Mapping[str, object]] = ()
