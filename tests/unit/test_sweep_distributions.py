"""Each distribution's shape, by statistical tests of seeded draws, and its inverse."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from runstream_query.sweeps import parameters
from runstream_query.sweeps.distributions import Distribution
from runstream_query.sweeps.search import random_search

DRAWS = 4000


def law(**config: Any) -> Distribution:
    return parameters.read("parameters.x", config)


def draws(found: Distribution, seed: int = 1) -> list[Any]:
    return [found.at(random_search.uniform(seed, number, 0, "x")) for number in range(DRAWS)]


CONTINUOUS: list[tuple[dict[str, Any], Any]] = [
    ({"min": 0.5, "max": 2.0}, stats.uniform(0.5, 1.5)),
    ({"distribution": "uniform", "min": -3, "max": 4}, stats.uniform(-3, 7)),
    ({"distribution": "log_uniform", "min": -5, "max": 2}, stats.loguniform(math.exp(-5), math.exp(2))),
    ({"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1}, stats.loguniform(1e-5, 1e-1)),
    ({"distribution": "inv_log_uniform", "min": 1, "max": 4}, stats.loguniform(math.exp(-4), math.exp(-1))),
    ({"distribution": "inv_log_uniform_values", "min": 0.1, "max": 10}, stats.loguniform(0.1, 10)),
    ({"distribution": "normal", "mu": 3, "sigma": 2}, stats.norm(3, 2)),
    ({"distribution": "normal"}, stats.norm(0, 1)),
    ({"distribution": "log_normal", "mu": 1, "sigma": 0.5}, stats.lognorm(s=0.5, scale=math.exp(1))),
    ({"distribution": "beta", "a": 2, "b": 5}, stats.beta(2, 5)),
]


@pytest.mark.parametrize(("config", "expected"), CONTINUOUS, ids=[str(config) for config, _ in CONTINUOUS])
def test_continuous_distributions_have_their_shape(config: dict[str, Any], expected: Any) -> None:
    found = law(**config)
    sample = draws(found)
    assert stats.kstest(sample, expected.cdf).pvalue > 0.01
    assert found.count is None
    for u in (0.01, 0.3, 0.5, 0.99):
        assert found.unit(found.at(u)) == pytest.approx(u, abs=1e-6)


QUANTISED: list[tuple[dict[str, Any], Any]] = [
    ({"distribution": "q_uniform", "min": 0, "max": 10, "q": 0.5}, stats.uniform(0, 10)),
    ({"distribution": "q_log_uniform", "min": 0, "max": 4, "q": 2}, stats.loguniform(1, math.exp(4))),
    ({"distribution": "q_log_uniform_values", "min": 1, "max": 60, "q": 4}, stats.loguniform(1, 60)),
    ({"distribution": "q_normal", "mu": 10, "sigma": 3, "q": 2}, stats.norm(10, 3)),
    ({"distribution": "q_log_normal", "mu": 1, "sigma": 0.7}, stats.lognorm(s=0.7, scale=math.e)),
    ({"distribution": "q_beta", "a": 2, "b": 2, "q": 0.125}, stats.beta(2, 2)),
]


@pytest.mark.parametrize(("config", "base"), QUANTISED, ids=[str(config) for config, _ in QUANTISED])
def test_quantised_distributions_are_multiples_of_q_with_their_mass(config: dict[str, Any], base: Any) -> None:
    q = config.get("q", 1)
    sample = draws(law(**config))
    assert all(type(value) is type(q) for value in sample)
    assert all(value == pytest.approx(round(value / q) * q) for value in sample)
    seen = Counter(round(value / q) for value in sample)
    mass = {k: base.cdf((k + 0.5) * q) - base.cdf((k - 0.5) * q) for k in range(min(seen), max(seen) + 1)}
    common = [k for k, share in mass.items() if share * DRAWS >= 5]
    rest = DRAWS - sum(seen[k] for k in common)
    expected = [mass[k] * DRAWS for k in common]
    observed = [seen[k] for k in common]
    if DRAWS - sum(expected) > 1:
        observed.append(rest)
        expected.append(DRAWS - sum(expected))
    else:
        expected = [value * sum(observed) / sum(expected) for value in expected]
    assert stats.chisquare(observed, expected).pvalue > 0.01


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        ({"min": 1, "max": 6}, dict.fromkeys(range(1, 7), 1 / 6)),
        ({"values": ["a", "b", "c"]}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}),
        ({"values": ["a", "b", "c"], "probabilities": [0.2, 0.0, 0.8]}, {"a": 0.2, "c": 0.8}),
        ({"min": 0, "max": 1, "step": 0.25}, {0.0: 0.2, 0.25: 0.2, 0.5: 0.2, 0.75: 0.2, 1.0: 0.2}),
        ({"value": 7}, {7: 1.0}),
    ],
)
def test_discrete_distributions_have_their_shares(config: dict[str, Any], shares: dict[Any, float]) -> None:
    seen = Counter(draws(law(**config)))
    assert set(seen) == set(shares)
    observed, expected = [seen[key] for key in shares], [share * DRAWS for share in shares.values()]
    assert len(shares) == 1 or stats.chisquare(observed, expected).pvalue > 0.01


def test_types_decide_the_distribution_that_is_not_named() -> None:
    assert all(isinstance(value, int) for value in draws(law(min=1, max=5)))
    assert all(isinstance(value, float) for value in draws(law(min=1, max=5.0)))
    assert {type(value) for value in draws(law(min=1, max=5, step=2))} == {int}


def test_steps_are_written_as_a_person_writes_them() -> None:
    steps = law(min=0.001, max=0.1, step=0.001)
    assert steps.count == 100
    values = [steps.value(index) for index in range(100)]
    assert [repr(value) for value in values[:4]] == ["0.001", "0.002", "0.003", "0.004"]
    assert values[-1] == 0.1 and values == [float(f"{n / 1000:.3f}") for n in range(1, 101)]
    assert [law(min=1e-5, max=3e-5, step=1e-5).value(i) for i in range(3)] == [1e-5, 2e-5, 3e-5]
    assert law(min=0, max=1, step=0.3).count == 4  # 0, 0.3, 0.6, 0.9


@pytest.mark.parametrize(
    ("config", "grid"),
    [
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 8, "q": 2}, [0, 2, 4, 6, 8]),
        ({"distribution": "q_beta", "q": 0.5}, [0.0, 0.5, 1.0]),
    ],
)
def test_what_is_rounded_and_bounded_has_a_grid(config: dict[str, Any], grid: list[float]) -> None:
    found = law(**config)
    assert found.count == len(grid)
    assert [found.value(index) for index in range(len(grid))] == grid
    assert set(draws(found)) <= set(grid)


def test_uniform_numbers_are_independent_of_each_other() -> None:
    table = np.array([[random_search.uniform(3, n, 0, name) for name in ("a", "b")] for n in range(2000)])
    assert abs(np.corrcoef(table.T)[0, 1]) < 0.06
    assert abs(np.corrcoef(table[1:, 0], table[:-1, 0])[0, 1]) < 0.06
    assert random_search.uniform(1, 1, 0, "x") == 0.8108614345974718  # the same in every version
