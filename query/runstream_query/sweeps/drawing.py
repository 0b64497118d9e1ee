"""What every search gives: configurations for the next trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from runstream_query.sweeps.space import Space, as_json, digest

Known = Callable[[str], bool]
"""Whether a configuration of this digest was drawn or added before."""


@dataclass(frozen=True, slots=True)
class Proposal:
    parameters_json: str
    digest: str


@dataclass(frozen=True, slots=True)
class Drawn:
    proposals: list[Proposal]
    """Perhaps fewer than were asked for, or none: ask again from `place`."""
    place: int = 0
    """Where the next drawing begins; only a grid has one."""
    exhausted: bool = False
    """There will never be another."""


class Search(Protocol):
    def draw(self, number: int, place: int, count: int, known: Known) -> Drawn:
        """Configurations for the trials `number`, `number` + 1, ... Deterministic given these and what is known."""


def proposal(space: Space, chosen: Mapping[str, Any]) -> Proposal:
    nested = space.nest(chosen)
    return Proposal(as_json(nested), digest(nested))
