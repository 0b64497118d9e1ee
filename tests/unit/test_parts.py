"""What the names of a table's parts tell of what has changed."""

from __future__ import annotations

import pytest

from runstream_query.runs.selection.changed_parts import fresh_parts


@pytest.mark.parametrize(
    ("before", "now", "fresh"),
    [
        (["a_1_1_0"], ["a_1_1_0"], []),
        (["a_1_1_0"], ["a_1_1_0", "a_2_2_0"], ["a_2_2_0"]),
        (["a_1_1_0"], ["a_1_1_0", "b_2_2_0"], ["b_2_2_0"]),
        (["a_1_1_0", "a_2_2_0"], ["a_1_2_1"], []),
        (["a_1_1_0", "a_2_2_0"], ["a_1_3_1"], ["a_1_3_1"]),
        (["a_1_1_0", "a_3_3_0"], ["a_1_3_1"], ["a_1_3_1"]),
        (["a_1_5_1", "a_6_6_0"], ["a_1_5_1"], None),
        (["a_1_5_1"], [], None),
        (["a_1_5_1"], ["a_1_5_1_6"], None),
        (["a_1_5_1_6"], ["a_1_5_1_6", "a_7_7_0"], ["a_7_7_0"]),
        (["a_1_5_1_6", "a_7_7_0"], ["a_1_7_2_6"], []),
        (["a_1_5_1_6"], ["a_1_7_2_6"], ["a_1_7_2_6"]),
        (["a_1_5_1_6"], ["a_1_5_1_9"], None),
        (["a_1_5_1_6", "a_7_7_0"], ["a_1_5_1_8", "a_7_7_0_8"], None),
        (["a_1_1_0"], ["a_1_1_0", "b_1_1_0_7"], None),
        ([], ["a_1_1_0"], ["a_1_1_0"]),
        ([], [], []),
        (["all-of-it"], ["all-of-it"], []),
        (["all-of-it"], ["another"], None),
    ],
)
def test_what_came_is_named_and_what_went_is_seen(before: list[str], now: list[str], fresh: list[str] | None) -> None:
    assert fresh_parts(before, now) == fresh
