"""How the tests are shared out to workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.schedule import LONGEST_FIRST, UNITS, longest, unit_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("test", "unit"),
    [
        ("tests/browser/test_runs.py::test_a_runs_views", "browser"),
        ("tests/e2e/test_up.py::test_ctrl_c", "tests/e2e/test_up.py"),
        ("tests/e2e/test_up.py::test_with_kafka_and_more", "kafka"),
        ("tests/e2e/sweeps/test_functions.py::test_x[a::b]", "sweeps"),
        ("tests/e2e/sweeps/test_programs.py::test_a_hundred_agents_x", "storm of agents"),
        ("tests/unit/test_x.py::test_y[tests/browser/]", "tests/unit/test_x.py"),
    ],
)
def test_a_test_belongs_to_one_unit(test: str, unit: str) -> None:
    assert unit_of(test) == unit


def test_what_takes_long_begins_first_and_the_rest_as_it_comes() -> None:
    assert longest(["tests/unit/a.py", "kafka", "browser", "tests/unit/b.py"]) == "browser"
    assert longest(["tests/unit/b.py", "tests/unit/a.py"]) == "tests/unit/b.py"


def test_every_name_is_of_something_that_is_there() -> None:
    for start in UNITS:
        path, _, test = start.partition("::")
        assert (ROOT / path).exists(), start
        assert not test or f"def {test.partition('[')[0]}" in (ROOT / path).read_text(), start
    for unit in LONGEST_FIRST:
        assert unit in UNITS.values() or (ROOT / unit).is_file(), unit
