"""The patterns of `define_metric` that match a name are those that fnmatch finds."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstream_query.runs import name_patterns
from runstream_query.runs.name_patterns import NamePatterns

SIGNS = st.text(st.sampled_from("ab*?[]!-\n"), max_size=6)


@given(st.lists(SIGNS, max_size=8), SIGNS)
def test_as_fnmatch_in_the_same_order(names: list[str], text: str) -> None:
    patterns = [name for name in names if any(mark in name for mark in "*?[")]
    assert list(NamePatterns(names).matching(text)) == [name for name in patterns if fnmatchcase(text, name)]


def test_of_a_hundred_thousand_patterns_few_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    monkeypatch.setattr(name_patterns, "fnmatchcase", lambda text, name: bool(compared.append(name)))
    patterns = NamePatterns(f"{place}*{place % 10}" for place in range(100_000))
    assert not list(patterns.matching("loss.7")) and not compared
    assert not list(patterns.matching("57.7")) and len(compared) <= 2, compared
