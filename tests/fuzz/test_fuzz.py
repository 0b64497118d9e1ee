"""A short run of every fuzz target. A million inputs: `python -m tests.fuzz`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.ports import fuzz_ports
from tests.fuzz.targets import TARGETS, seeds

INPUTS = 300


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    pytest.importorskip("atheris", reason="the coverage-guided fuzzer has no package for this platform")
    return {result["target"]: result for result in fuzz(list(TARGETS), INPUTS, seed=1)}


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_crashes_hangs_or_fills_the_memory(found: dict[str, Any], name: str) -> None:
    assert found[name]["ok"], found[name].get("found")
    assert found[name]["inputs"] >= INPUTS


@pytest.mark.parametrize("name", TARGETS)
def test_good_inputs_are_good(name: str) -> None:
    for data in seeds(name):
        TARGETS[name](data)


def test_every_port_answers_or_closes_and_works_on() -> None:
    found = fuzz_ports(350, seed=2)
    assert found["ok"], found.get("found")
    assert min(found["sent"].values()) == 50
