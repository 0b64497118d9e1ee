"""Choose the search for a definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from runstream_control.sweeps.model import Drawn, Known, Search
from runstream_query.sweeps.definition import SweepDefinition
from runstream_query.sweeps.distributions import Choice
from runstream_query.sweeps.errors import refuse
from runstream_query.sweeps.limits import MAX_DRAWS
from runstream_query.sweeps.search.drawing import proposal
from runstream_query.sweeps.search.gaussian import Gaussian
from runstream_query.sweeps.search.grid import Grid
from runstream_query.sweeps.search.observations import Observations
from runstream_query.sweeps.search.random_search import RandomSearch, draws
from runstream_query.sweeps.search.tpe import Tpe
from runstream_query.sweeps.search_space import SearchSpace


class Model(Protocol):
    """A search that learns. It is slow, so it suggests trials before the transaction that hands them out."""

    def suggest(self, number: int, history: Observations) -> dict[str, object] | None: ...


class PreparedSuggestions:
    """Suggestions of a model for certain trial numbers."""

    def __init__(self, space: SearchSpace, suggestions: Mapping[int, Mapping[str, object]]) -> None:
        self._proposals = {number: proposal(space, chosen) for number, chosen in suggestions.items()}

    def draw(self, number: int, place: int, count: int, known: Known) -> Drawn:
        """Return fewer proposals than `count`, or none, if another server was faster; then prepare again."""
        wanted = range(number, number + count)
        found = []
        for trial in wanted:
            if trial not in self._proposals:
                break
            found.append(self._proposals[trial])
        return Drawn(found, place)


def uses_gaussian(definition: SweepDefinition) -> bool:
    """Return whether a Gaussian process suits the definition; otherwise TPE searches.

    A Gaussian process measures distances: it suits numbers, one objective and no conditions.
    """
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


def make_search(definition: SweepDefinition, seed: int) -> Search | None:
    """Return the search of a method that learns nothing; None for one that learns (`make_model`)."""
    if definition.method == "grid":
        return Grid(definition.space)
    return RandomSearch(definition.space, seed) if definition.method == "random" else None


def make_model(definition: SweepDefinition, seed: int) -> Model:
    if uses_gaussian(definition):
        return Gaussian(definition.space, seed, definition.objectives[0].maximize)
    return Tpe(definition.space, seed, tuple(objective.maximize for objective in definition.objectives))


def check_feasible(definition: SweepDefinition) -> None:
    """Raise DefinitionError if no configuration is found that fulfils the constraints.

    It searches a grid for MAX_DRAWING_S, else makes MAX_DRAWS random draws. It may miss a configuration that exists.
    """
    if not definition.space.constraints:
        return
    if definition.method == "grid":
        grid = Grid(definition.space)
        if not grid.draw(1, 0, 1, lambda _: False).proposals:
            refuse("constraints", "no point of the grid was found that fulfils them: loosen them, or the values")
    elif next(draws(definition.space, 0, 1), None) is None:
        refuse("constraints", f"none of {MAX_DRAWS} random draws fulfils them: loosen them, or narrow the ranges")


def notes(definition: SweepDefinition) -> list[str]:
    """Return remarks for the user."""
    remarks = list(definition.notes)
    if definition.method == "bayes" and not uses_gaussian(definition):
        remarks.append(
            "bayes uses TPE for this sweep: a Gaussian process suits one metric and mostly numeric parameters "
            "without conditions"
        )
    if definition.method != "grid" and definition.run_cap is None:
        remarks.append(f"without run_cap, {definition.method} never ends by itself")
    return remarks
