"""Every guard that `sabotage` takes out is where its entry says: a part that was renamed or moved would stay in place,
and the sabotage would be noticed by nobody."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest

from tests.faults import breakers
from tests.faults.faults import FAULTS
from tests.faults.sabotage import GUARDS, Guard

_OF_THE_LAB = "plain_tables"
"""It breaks what the laboratory makes its tables with: see `Lab._prepare`."""


def owners_of(module: ModuleType) -> list[Any]:
    return [module, *(value for value in vars(module).values() if isinstance(value, type))]


def names_of(owners: list[Any]) -> dict[tuple[Any, str], Any]:
    return {(owner, name): value for owner in owners for name, value in vars(owner).items()}


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.fault}, {guard.breaker}")
def test_each_breaker_finds_what_it_breaks(guard: Guard) -> None:
    fault = next(fault for fault in FAULTS if guard.fault in fault.name)
    assert guard.brokers in fault.brokers
    if guard.breaker == _OF_THE_LAB:
        return
    owners = owners_of(importlib.import_module(guard.module))
    before = names_of(owners)
    getattr(breakers, guard.breaker)(owners[0])
    after = names_of(owners)
    changed = {place for place in after if place not in before or after[place] is not before[place]}
    for owner, name in changed:
        if (owner, name) in before:
            setattr(owner, name, before[owner, name])
        else:
            delattr(owner, name)
    assert changed and not changed - before.keys(), f"{guard.module} has no {changed - before.keys()}"
