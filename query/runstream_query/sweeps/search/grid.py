"""Search a grid: try every combination once, in the definition's order; the last parameter changes fastest.

A combination is a number in mixed radix, with one digit a parameter. So a grid of a billion points is a counter, and a
sweep is resumed from the counter alone. An inactive parameter stays at its first value, so that each configuration
comes once. Impossible combinations are skipped in whole blocks: all numbers that share the digits which decide it.
"""

from __future__ import annotations

import time

from runstream_control.sweeps.model import Drawn, Known, Proposal
from runstream_query.sweeps.limits import MAX_COUNTING_S, MAX_DRAWING_S
from runstream_query.sweeps.search.drawing import proposal
from runstream_query.sweeps.search_space import SearchSpace, is_active


class Grid:
    """The grid of a space; each parameter of the space must have a count."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._counts = [parameter.distribution.count or 1 for parameter in space.parameters]
        self._strides: list[int] = [1] * len(self._counts)
        for index in range(len(self._counts) - 2, -1, -1):
            self._strides[index] = self._strides[index + 1] * self._counts[index + 1]
        self.limit = self._strides[0] * self._counts[0]
        """The number of points, before conditions and constraints."""
        places = {parameter.name: index for index, parameter in enumerate(space.parameters)}
        self._blocks = [
            (constraint, self._strides[max(places[name] for name in constraint.names)])
            for constraint in space.constraints
        ]

    def draw(self, number: int, place: int, count: int, known: Known) -> Drawn:
        found: list[Proposal] = []
        until_s = time.monotonic() + MAX_DRAWING_S
        while place < self.limit and len(found) < count and time.monotonic() < until_s:
            chosen, place = self.configuration_at(place)
            if chosen is not None:
                candidate = proposal(self._space, chosen)
                if not known(candidate.digest):
                    found.append(candidate)
        return Drawn(found, place, place >= self.limit)

    def configuration_at(self, place: int) -> tuple[dict[str, object] | None, int]:
        """Return the configuration of a number, None if it stands for none; and the next number to try."""
        chosen: dict[str, object] = {}
        for parameter, stride, count in zip(self._space.parameters, self._strides, self._counts, strict=True):
            digit = place // stride % count
            if is_active(parameter, chosen):
                chosen[parameter.name] = parameter.distribution.value(digit)
            elif digit:
                return None, _next(place, stride * count)
        for constraint, block in self._blocks:
            if constraint.names <= chosen.keys() and not constraint.holds(chosen):
                return None, _next(place, block)
        return chosen, place + 1

    def size(self) -> tuple[int, bool]:
        """Return the number of points, and whether it is only an upper bound, since counting would take too long."""
        if not self._blocks and not self._space.conditional:
            return self.limit, False
        place, points = 0, 0
        until_s = time.monotonic() + MAX_COUNTING_S
        while place < self.limit:
            if time.monotonic() > until_s:
                return self.limit, True
            chosen, place = self.configuration_at(place)
            points += chosen is not None
        return points, False


def _next(place: int, block: int) -> int:
    return (place // block + 1) * block
