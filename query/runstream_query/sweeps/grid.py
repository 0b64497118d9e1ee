"""Grid search: every combination once, in the definition's order, the last parameter changing fastest.

A combination is a number: digits in mixed radix, one a parameter. So a grid of a billion points is a counter, and to
resume it is to know the counter. An inactive parameter stays at its first value, so that each configuration comes once.
What cannot be is jumped over in whole blocks: all numbers that share the digits which decide it.
"""

from __future__ import annotations

import time
from typing import Any

from runstream_common.control.sweeps.model import Drawn, Known, Proposal
from runstream_query.sweeps.drawing import proposal
from runstream_query.sweeps.limits import MAX_COUNTING_S, MAX_DRAWING_S
from runstream_query.sweeps.space import Space, is_active


class Grid:
    """`space`: one whose parameters all have a count."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._counts = [parameter.distribution.count or 1 for parameter in space.parameters]
        self._strides: list[int] = [1] * len(self._counts)
        for index in range(len(self._counts) - 2, -1, -1):
            self._strides[index] = self._strides[index + 1] * self._counts[index + 1]
        self.limit = self._strides[0] * self._counts[0]
        """Points, conditions and constraints left aside."""
        places = {parameter.name: index for index, parameter in enumerate(space.parameters)}
        self._blocks = [
            (constraint, self._strides[max(places[name] for name in constraint.names)])
            for constraint in space.constraints
        ]

    def draw(self, number: int, place: int, count: int, known: Known) -> Drawn:
        found: list[Proposal] = []
        until_s = time.monotonic() + MAX_DRAWING_S
        while place < self.limit and len(found) < count and time.monotonic() < until_s:
            chosen, place = self.look(place)
            if chosen is not None:
                candidate = proposal(self._space, chosen)
                if not known(candidate.digest):
                    found.append(candidate)
        return Drawn(found, place, place >= self.limit)

    def look(self, place: int) -> tuple[dict[str, Any] | None, int]:
        """The configuration of a number, None where it is none; and the next number that may be one."""
        chosen: dict[str, Any] = {}
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
        """Points, and whether that is only the most that there can be: where it would take long to count."""
        if not self._blocks and not self._space.conditional:
            return self.limit, False
        place, points = 0, 0
        until_s = time.monotonic() + MAX_COUNTING_S
        while place < self.limit:
            if time.monotonic() > until_s:
                return self.limit, True
            chosen, place = self.look(place)
            points += chosen is not None
        return points, False


def _next(place: int, block: int) -> int:
    return (place // block + 1) * block
