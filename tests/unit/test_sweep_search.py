"""Grid, random, Gaussian process, TPE: exact, lazy, repeatable, and better than chance."""

from __future__ import annotations

import json
import statistics
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from runstream_control.sweeps.model import Drawn
from runstream_query.sweeps import definition
from runstream_query.sweeps.definition import Hyperband
from runstream_query.sweeps.hyperband import MAX_BRACKETS, TrialProgress, trials_to_stop
from runstream_query.sweeps.search import random_search
from runstream_query.sweeps.search.gaussian import Gaussian, scheduled, scores, thinned
from runstream_query.sweeps.search.grid import Grid
from runstream_query.sweeps.search.observations import Observations, Result
from runstream_query.sweeps.search.random_search import RandomSearch
from runstream_query.sweeps.search.tpe import Tpe
from tests.support.long import LONG


def read(parameters: dict[str, Any], method: str = "random", **keys: Any) -> definition.SweepDefinition:
    return definition.read({"method": method, "metric": {"name": "loss"}, "parameters": parameters, **keys})


def unseen(digest: str) -> bool:
    return False


def configurations(drawn: Drawn) -> list[dict[str, Any]]:
    return [json.loads(found.parameters_json) for found in drawn.proposals]


def whole(grid: Grid, by: int = 7) -> list[dict[str, Any]]:
    """All of it, drawn and resumed in small parts, each by a grid of its own."""
    found, place = [], 0
    while True:
        drawn = grid.draw(len(found) + 1, place, by, unseen)
        found += configurations(drawn)
        place = drawn.place
        if drawn.exhausted:
            return found


def test_a_grid_is_every_combination_once_in_the_order_of_the_definition() -> None:
    config = {"a": {"values": ["x", "y"]}, "b": {"min": 1, "max": 3}, "c": {"parameters": {"d": {"value": 0}}}}
    found = whole(Grid(read(config, "grid").space), by=4)
    assert found == [{"a": a, "b": b, "c": {"d": 0}} for a in ("x", "y") for b in (1, 2, 3)]


def test_a_tutorials_grid_has_a_hundred_points() -> None:
    found = whole(Grid(read({"learning_rate": {"min": 0.001, "max": 0.1, "step": 0.001}}, "grid").space))
    assert len(found) == 100
    assert json.dumps(found[2]) == '{"learning_rate": 0.003}'


def test_conditions_leave_each_configuration_once() -> None:
    config = {
        "momentum": {"values": [0.5, 0.9], "when": "optimizer == 'sgd'"},
        "optimizer": {"values": ["adam", "sgd"]},
        "nesterov": {"values": [True, False], "when": "momentum > 0.6"},
        "seed": {"min": 1, "max": 2},
    }
    grid = Grid(read(config, "grid").space)
    found = whole(grid)
    distinct = {json.dumps(one, sort_keys=True) for one in found}
    assert len(found) == len(distinct) == grid.size()[0] == 2 * (1 + 1 + 2)
    assert {"optimizer": "sgd", "momentum": 0.5, "seed": 1} in found
    assert not any("momentum" in one for one in found if one["optimizer"] == "adam")
    assert not any("nesterov" in one for one in found if one.get("momentum") != 0.9)


def test_constraints_are_kept_and_impossible_blocks_are_jumped_over() -> None:
    config = {"a": {"min": 1, "max": 20}, "b": {"min": 1, "max": 20}, "c": {"values": ["x", "y"]}}
    grid = Grid(read(config, "grid", constraints=["a * b <= 20", "a > 2"]).space)
    found = whole(grid)
    assert found == [{"a": a, "b": b, "c": c} for a in range(3, 21) for b in range(1, 21) for c in "xy" if a * b <= 20]
    huge = read(
        {"a": {"min": 1, "max": 1000}, **{f"p{n}": {"min": 1, "max": 1000} for n in range(5)}},
        "grid",
        constraints=["a >= 900"],
    )
    assert configurations(Grid(huge.space).draw(1, 0, 1, unseen))[0]["a"] == 900


def test_a_grid_of_a_billion_points_starts_at_once_and_holds_nothing() -> None:
    config = {f"p{n}": {"min": 1, "max": 1000} for n in range(3)}
    tracemalloc.start()
    started = time.perf_counter()
    grid = Grid(read(config, "grid").space)
    assert grid.size() == (10**9, False)
    first = configurations(grid.draw(1, 0, 3, unseen))
    middle = configurations(grid.draw(1, 123_456_789, 1, unseen))
    took, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert first == [{"p0": 1, "p1": 1, "p2": value} for value in (1, 2, 3)]
    assert middle == [{"p0": 124, "p1": 457, "p2": 790}]
    assert took < 0.1 and peak < 1 << 20


def test_a_grid_leaves_out_what_is_known_already() -> None:
    grid = Grid(read({"a": {"min": 1, "max": 5}}, "grid").space)
    skip = grid.draw(1, 2, 1, unseen).proposals[0].digest
    assert [one["a"] for one in configurations(grid.draw(1, 0, 9, lambda digest: digest == skip))] == [1, 2, 4, 5]


def test_random_trials_depend_on_seed_and_number_only() -> None:
    space = read({"lr": {"min": 0.0, "max": 1.0}, "n": {"min": 1, "max": 100}}).space
    together = configurations(RandomSearch(space, 5).draw(1, 0, 20, unseen))
    alone = [configurations(RandomSearch(space, 5).draw(number, 0, 1, unseen))[0] for number in range(1, 21)]
    assert together == alone
    assert configurations(RandomSearch(space, 6).draw(1, 0, 20, unseen)) != together
    fewer = read({"n": {"min": 1, "max": 100}}).space
    assert [one["n"] for one in configurations(RandomSearch(fewer, 5).draw(1, 0, 5, unseen))] == [
        one["n"] for one in together[:5]
    ]


def test_random_search_tries_everything_before_anything_twice() -> None:
    search = RandomSearch(read({"a": {"values": ["x", "y", "z"]}, "b": {"min": 1, "max": 4}}).space, 1)
    seen: dict[str, int] = {}
    for number in range(1, 25):
        (found,) = search.draw(number, 0, 1, lambda digest: digest in seen).proposals
        seen[found.parameters_json] = seen.get(found.parameters_json, 0) + 1
        seen.setdefault(found.digest, 0)
        if number == 12:
            assert sum(key.startswith("{") for key in seen) == 12
    assert sum(count for key, count in seen.items() if key.startswith("{")) == 24


def test_random_search_keeps_conditions_and_constraints() -> None:
    config = {
        "kind": {"values": ["mlp", "cnn"]},
        "kernel": {"values": [3, 5], "when": {"kind": "cnn"}},
        "width": {"min": 1, "max": 100},
    }
    space = read(config, constraints=["kind != 'cnn' or width * kernel <= 100"]).space
    search = RandomSearch(space, 1)
    found = [configurations(search.draw(number, 0, 1, unseen))[0] for number in range(1, 101)]
    for one in found:
        assert ("kernel" in one) == (one["kind"] == "cnn")
        assert one["kind"] == "mlp" or one["width"] * one["kernel"] <= 100


# Models


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the service runs them: only libraries that are loaded are limited."""
    import sklearn.gaussian_process  # noqa: F401

    with threadpool_limits(1):
        yield


BOWL = {f"x{n}": {"min": -1.0, "max": 1.0} for n in range(3)}


def bowl(chosen: Any) -> float:
    return sum((chosen[f"x{n}"] - 0.3) ** 2 for n in range(3))


def driven(model: Any, trials: int, parallel: int, function: Any) -> list[Result]:
    """Agents that end in the order in which they began."""
    results: list[Result] = []
    pending: list[Any] = []
    for number in range(1, trials + parallel + 1):
        if len(pending) == parallel:
            chosen = pending.pop(0)
            results.append(Result(chosen, (function(chosen),)))
        pending.append(model.suggest(number, Observations(tuple(results), tuple(pending))))
    return results


@pytest.mark.parametrize("kind", ["gaussian", "tpe"])
def test_models_find_what_chance_does_not(kind: str) -> None:
    space = read(BOWL).space
    found, by_chance = [], []
    for seed in (1, 2, 3) if LONG else (1,):
        model = Gaussian(space, seed, False) if kind == "gaussian" else Tpe(space, seed, (False,))
        found.append(min(result.values[0] for result in driven(model, 40, 8, bowl)))
        by_chance.append(min(bowl(next(random_search.draws(space, seed, number))) for number in range(1, 41)))
    assert statistics.median(found) < statistics.median(by_chance) / (2 if kind == "gaussian" else 1)


@pytest.mark.parametrize("kind", ["gaussian", "tpe"])
def test_models_repeat_themselves_and_a_new_one_goes_on_as_the_old(kind: str) -> None:
    space = read(BOWL).space

    def make() -> Any:
        return Gaussian(space, 3, False) if kind == "gaussian" else Tpe(space, 3, (False,))

    old = make()
    results = driven(old, 25, 4, bowl)
    assert driven(make(), 25, 4, bowl) == results
    history = Observations(tuple(results), (results[0].chosen,))
    assert old.suggest(99, history) == make().suggest(99, history)  # as after a restart
    assert make().suggest(100, history) != make().suggest(99, history)


@pytest.mark.parametrize("kind", ["gaussian", "tpe"])
def test_agents_that_ask_at_once_are_sent_to_different_places(kind: str) -> None:
    space = read(BOWL).space
    model = Gaussian(space, 3, False) if kind == "gaussian" else Tpe(space, 3, (False,))
    results = driven(model, 12, 1, bowl)
    pending: list[Any] = []
    for number in range(30, 36):
        pending.append(model.suggest(number, Observations(tuple(results), tuple(pending))))
    points = np.array([[one[f"x{n}"] for n in range(3)] for one in pending])
    distances = [np.abs(a - b).max() for i, a in enumerate(points) for b in points[:i]]
    assert min(distances) > 1e-3


def test_a_gaussian_process_bears_what_results_are_in_practice() -> None:
    config = {"x": {"min": 0.0, "max": 1.0}, "kind": {"values": ["a", "b", "c"]}, "n": {"values": [1, 2, 4, 8]}}
    space = read({**config, "fixed": {"value": 3}}, constraints=["x < 0.9"]).space
    model = Gaussian(space, 1, True)
    results = []
    for number in range(1, 31):
        chosen = model.suggest(number, Observations(tuple(results)))
        assert chosen is not None and chosen["x"] < 0.9 and chosen["fixed"] == 3
        value = {0: float("nan"), 1: float("inf"), 2: 1e30}.get(number % 7, 1.0 - abs(chosen["x"] - 0.5))
        results.append(Result(chosen, (value,)) if number % 5 else Result(chosen))
    same = [Result(result.chosen, (1.0,)) for result in results]
    assert model.suggest(31, Observations(tuple(same))) is not None  # no spread at all
    stranger = Result({"x": 0.2}, (5.0,))  # added from elsewhere, without the other parameters
    assert model.suggest(32, Observations((*results, stranger))) is not None


def test_a_finite_space_is_not_suggested_twice() -> None:
    space = read({"a": {"min": 1, "max": 6}, "b": {"min": 1, "max": 5}}).space
    model = Gaussian(space, 1, False)
    results: list[Result] = []
    for number in range(1, 26):
        chosen = model.suggest(number, Observations(tuple(results)))
        assert chosen is not None
        results.append(Result(chosen, (float(chosen["a"] + chosen["b"]),)))
    learned = [(result.chosen["a"], result.chosen["b"]) for result in results[model.starts_with :]]
    assert len(set(learned)) == len(learned)
    assert (1, 1) in learned


def test_what_a_model_learns_from_is_bounded_and_steady() -> None:
    assert [scheduled(n) for n in (5, 6, 7, 12, 500)] == [5, 5, 7, 11, 436]
    results = [Result({"x": n}, (float(n % 100),)) for n in range(400)]
    kept = thinned(results, 1.0)
    assert len(kept) == 150 and kept[-1] is results[-1]
    assert {result.values[0] for result in kept} >= set(map(float, range(18)))
    spread = scores([*results[:50], Result({"x": 1}, (1e300,)), Result({"x": 2})], 1.0)
    assert spread[-1] == spread[-2] == spread.max() < 10


def test_tpe_takes_conditions_and_several_objectives() -> None:
    config = {
        "kind": {"values": ["a", "b"]},
        "x": {"min": 0.0, "max": 1.0, "when": "kind == 'a'"},
        "y": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0, "when": "kind == 'b'"},
    }
    model = Tpe(read(config, constraints=["x < 0.9"]).space, 1, (False, True))
    results: list[Result] = []
    for number in range(1, 31):
        chosen = model.suggest(number, Observations(tuple(results)))
        assert chosen is not None and ("x" in chosen) == (chosen["kind"] == "a") != ("y" in chosen)
        assert chosen.get("x", 0) < 0.9
        cost = chosen.get("x", chosen.get("y"))
        results.append(Result(chosen, (cost, -cost)) if number % 6 else Result(chosen))


# Early stopping


def logged(*values: float, brackets: tuple[int, ...]) -> TrialProgress:
    at = tuple(values[bracket - 1] if bracket <= len(values) else None for bracket in brackets)
    return TrialProgress(len(values), at, min(values), max(values))


def test_hyperband_decides_as_the_table_says() -> None:
    """Computed by hand: brackets 1 and 2, eta 2. At 2 logs the values are 10, 8, 7, 6: int(4 / 2) = 2, so the third
    best, 8, is the last good enough."""
    brackets = (1, 2)
    trials = {
        1: logged(10, 9, 9, brackets=brackets),
        2: logged(10, 10, brackets=brackets),
        3: logged(10, 8, 8, brackets=brackets),
        4: logged(10, 7, 7, brackets=brackets),
        5: logged(10, 6, 6, brackets=brackets),
        6: logged(11, brackets=brackets),
    }
    rule = Hyperband(brackets, 2.0, strict=True)
    assert set(trials_to_stop(rule, False, trials, [2, 3, 4, 6, 7])) == {2, 6}
    assert set(trials_to_stop(rule, False, {n: trials[n] for n in (2, 3, 4, 5)}, [2, 3, 4])) == {2}
    words = trials_to_stop(rule, False, trials, [2])[2]
    assert words == "after 2 logs it is not among the best 1/2 of 5 trials: 10 against 8"


def test_hyperband_judges_by_the_best_so_far_unless_strict() -> None:
    brackets = (2,)
    trials = {1: logged(5, 9, 1, brackets=brackets), 2: logged(5, 4, brackets=brackets)}
    assert trials_to_stop(Hyperband(brackets, 3.0, strict=False), False, trials, [1]) == {}
    assert set(trials_to_stop(Hyperband(brackets, 3.0, strict=True), False, trials, [1])) == {1}
    assert set(trials_to_stop(Hyperband(brackets, 3.0, strict=True), True, trials, [1, 2])) == {2}


def test_hyperband_with_brackets_without_end_judges_at_the_last_that_is_used() -> None:
    rule = Hyperband(tuple(range(1, 200)), 1.1, strict=True)
    values = tuple(float(n) for n in range(MAX_BRACKETS))
    trials = {n: TrialProgress(150, tuple(value + n for value in values), float(n), 100.0 + n) for n in range(20)}
    assert set(trials_to_stop(rule, False, trials, range(20))) == {19}


def test_hyperband_spares_the_only_one_and_those_that_logged_too_little() -> None:
    rule = Hyperband((3, 9), 3.0, strict=True)
    trials = {1: logged(5, 5, 5, brackets=(3, 9)), 2: logged(9, 9, brackets=(3, 9))}
    assert trials_to_stop(rule, False, trials, [1, 2, 3]) == {}
