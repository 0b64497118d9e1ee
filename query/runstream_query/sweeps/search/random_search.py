"""Search at random.

The uniform number behind a parameter of a trial is a hash of (seed, trial, draw, parameter). It is the same on every
machine and in every version, whatever was drawn before, and independent of the other parameters.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

from runstream_control.sweeps.model import Drawn, Known, Proposal
from runstream_query.sweeps.limits import MAX_DRAWING_S, MAX_DRAWS, MAX_REDRAWS
from runstream_query.sweeps.search.drawing import proposal
from runstream_query.sweeps.search_space import SearchSpace


def uniform(seed: int, number: int, draw: int, name: str) -> float:
    """Return a number in [0, 1)."""
    text = f"{seed}/{number}/{draw}/{name}".encode()
    return (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 11) * 2.0**-53


def draws(space: SearchSpace, seed: int, number: int, most: int = MAX_DRAWS) -> Iterator[dict[str, object]]:
    """Yield configurations for a trial that fulfil the constraints: first the preferred one, then its substitutes."""
    for draw in range(most):
        chosen = space.assemble(
            lambda parameter, draw=draw: parameter.distribution.at(uniform(seed, number, draw, parameter.name))  # type: ignore[misc]
        )
        if space.violated(chosen) is None:
            yield chosen


class RandomSearch:
    """Random search.

    No configuration is repeated while others are left; after that trials repeat without end, as in W&B.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._count = space.count

    def draw(self, number: int, place: int, count: int, known: Known) -> Drawn:
        found: list[Proposal] = []
        until_s = time.monotonic() + MAX_DRAWING_S
        for trial in range(number, number + count):
            if found and time.monotonic() > until_s:
                break
            chosen = self._one(trial, known, {other.digest for other in found})
            if chosen is None:
                break
            found.append(chosen)
        return Drawn(found, place)

    def _one(self, number: int, known: Known, fresh: set[str]) -> Proposal | None:
        substitute: Proposal | None = None
        may_repeat = self._count is None or number > self._count
        for tried, chosen in enumerate(draws(self._space, self._seed, number)):
            candidate = proposal(self._space, chosen)
            if may_repeat or (candidate.digest not in fresh and not known(candidate.digest)):
                return candidate
            substitute = substitute or candidate
            if tried >= MAX_REDRAWS:
                break
        return substitute
