"""A page of metrics from the rows of their series."""

from __future__ import annotations

from typing import Any

from runstream_query.runs.metric_pages import page


def row(metric: str, rank: int, step: int, version: int, value: float) -> dict[str, Any]:
    return {"metric": metric, "rank": rank, "step": step, "version": version, "value": value, "time_us": 10 * version}


ROWS = [
    row("a", 0, 7, 1, 1.0),
    row("a", 0, 7, 3, 2.0),  # logged again by a later attempt
    row("a", 1, 5, 2, 4.0),
    row("b", 0, 2**40, 1, 8.0),
]


def test_the_newest_row_of_each_rank_counts_once() -> None:
    assert page(ROWS, 5, 10) == [
        {"key": "a", "runs": 1, "ranks": 2, "last_step": 7, "last_value": 3.0, "last_us": 30},
        {"key": "b", "runs": 1, "ranks": 1, "last_step": 2**40, "last_value": 8.0, "last_us": 10},
    ]


def test_the_last_name_of_rows_that_were_cut_off_is_not_believed() -> None:
    cut = page(ROWS, 4, 1)
    assert cut is not None and [found["key"] for found in cut] == ["a"]
    assert page(ROWS, 4, 2) is None
    assert page(ROWS[:3], 3, 1) is None


def test_a_page_ends_at_its_size() -> None:
    found = page(ROWS, 5, 1)
    assert found is not None and [one["key"] for one in found] == ["a"]
    assert page([], 5, 1) == []
