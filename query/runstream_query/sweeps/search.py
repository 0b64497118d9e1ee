"""Which search a definition means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from runstream_common.control.sweeps.model import Drawn, Known, Search
from runstream_query.sweeps.chance import Chance, draws
from runstream_query.sweeps.definition import Definition
from runstream_query.sweeps.distributions import Choice
from runstream_query.sweeps.drawing import proposal
from runstream_query.sweeps.errors import refuse
from runstream_query.sweeps.gaussian import Gaussian
from runstream_query.sweeps.grid import Grid
from runstream_query.sweeps.history import History
from runstream_query.sweeps.limits import MAX_DRAWS
from runstream_query.sweeps.space import Space
from runstream_query.sweeps.tpe import Tpe


class Model(Protocol):
    """A search that learns: it takes time, so it is asked before the transaction that hands its trials out."""

    def suggest(self, number: int, history: History) -> dict[str, Any] | None: ...


class Prepared:
    """Suggestions of a model, for the trial numbers that they were made for."""

    def __init__(self, space: Space, suggestions: Mapping[int, Mapping[str, Any]]) -> None:
        self._proposals = {number: proposal(space, chosen) for number, chosen in suggestions.items()}

    def draw(self, number: int, place: int, count: int, known: Known) -> Drawn:
        """Fewer than asked for, or none, where another server was faster: prepare again."""
        wanted = range(number, number + count)
        found = []
        for trial in wanted:
            if trial not in self._proposals:
                break
            found.append(self._proposals[trial])
        return Drawn(found, place)


def uses_gaussian(definition: Definition) -> bool:
    """A Gaussian process measures distances: it suits numbers, one objective, no conditions. TPE does the rest."""
    free = [parameter for parameter in definition.space.parameters if parameter.free]
    unordered = [p for p in free if isinstance(p.distribution, Choice) and not p.distribution.ordered]
    columns = sum(p.distribution.count or 1 for p in unordered)
    return (
        definition.method == "bayes"
        and len(definition.objectives) == 1
        and not definition.space.conditional
        and 2 * len(unordered) <= len(free)
        and columns + len(free) <= 60
    )


def make_search(definition: Definition, seed: int) -> Search | None:
    """Of a method that learns nothing; None: `make_model`."""
    if definition.method == "grid":
        return Grid(definition.space)
    return Chance(definition.space, seed) if definition.method == "random" else None


def make_model(definition: Definition, seed: int) -> Model:
    if uses_gaussian(definition):
        return Gaussian(definition.space, seed, definition.objectives[0].maximize)
    return Tpe(definition.space, seed, tuple(objective.maximize for objective in definition.objectives))


def check_feasible(definition: Definition) -> None:
    """Raises DefinitionError where the constraints leave nothing, as far as one can see in half a second."""
    if not definition.space.constraints:
        return
    if definition.method == "grid":
        grid = Grid(definition.space)
        if not grid.draw(1, 0, 1, lambda _: False).proposals:
            refuse("constraints", "no point of the grid was found that fulfils them: loosen them, or the values")
    elif next(draws(definition.space, 0, 1), None) is None:
        refuse("constraints", f"none of {MAX_DRAWS} random draws fulfils them: loosen them, or narrow the ranges")


def notes(definition: Definition) -> list[str]:
    """Remarks for a human."""
    remarks = list(definition.notes)
    if definition.method == "bayes" and not uses_gaussian(definition):
        remarks.append(
            "bayes searches by TPE here: a Gaussian process suits one metric and parameters that are mostly numbers, "
            "without conditions"
        )
    if definition.method != "grid" and definition.run_cap is None:
        remarks.append(f"without run_cap, {definition.method} never ends by itself")
    return remarks
