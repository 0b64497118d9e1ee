"""Functions to be minimised, whose minimum is known, and how far searches come with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from runstream_query.sweeps import definition
from runstream_query.sweeps.search import random_search
from runstream_query.sweeps.search.gaussian import Gaussian
from runstream_query.sweeps.search.observations import Observations, Result
from runstream_query.sweeps.search.tpe import Tpe
from runstream_query.sweeps.search_space import SearchSpace

Chosen = Mapping[str, Any]
_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])


def branin(chosen: Chosen) -> float:
    x, y = chosen["x"], chosen["y"]
    bend = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816


def hartmann6(chosen: Chosen) -> float:
    point = np.array([chosen[f"x{n}"] for n in range(6)])
    return 3.322368011391339 - float(_WEIGHTS @ np.exp(-(_A * (point - _P) ** 2).sum(axis=1)))


def quadratic(chosen: Chosen) -> float:
    return sum((chosen[f"x{n}"] - 0.3) ** 2 for n in range(5))


FUNCTIONS: dict[str, tuple[Callable[[Chosen], float], dict[str, Any], float]] = {
    "branin": (branin, {"x": {"min": -5.0, "max": 10.0}, "y": {"min": 0.0, "max": 15.0}}, 0.0),
    "hartmann6": (hartmann6, {f"x{n}": {"min": 0.0, "max": 1.0} for n in range(6)}, 0.0),
    "noisy_quadratic": (quadratic, {f"x{n}": {"min": -1.0, "max": 1.0} for n in range(5)}, 0.05),
}
"""Function (its minimum is 0), parameters, deviation of the noise on what is reported."""


def space_of(name: str) -> SearchSpace:
    parameters = FUNCTIONS[name][1]
    return definition.read({"method": "random", "parameters": parameters}).space


def regret(name: str, method: str, seed: int, trials: int, parallel: int) -> float:
    """The true value of the best configuration that was tried. Agents end in random order."""
    function, _, noise = FUNCTIONS[name]
    space = space_of(name)
    if method == "random":
        return min(function(next(random_search.draws(space, seed, number))) for number in range(1, trials + 1))
    model = Gaussian(space, seed, False) if method == "bayes" else Tpe(space, seed, (False,))
    generator = np.random.default_rng(seed)
    results: list[Result] = []
    pending: list[Chosen] = []
    number, best = 0, math.inf
    while len(results) < trials:
        while len(pending) < parallel and number < trials:
            number += 1
            chosen = model.suggest(number, Observations(tuple(results), tuple(pending)))
            assert chosen is not None
            pending.append(chosen)
        ended = pending.pop(int(generator.integers(len(pending))))
        best = min(best, function(ended))
        results.append(Result(ended, (function(ended) + noise * float(generator.normal()),)))
    return best
