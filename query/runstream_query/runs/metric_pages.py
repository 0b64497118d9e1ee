"""Makes a page of one run's metrics from the rows of its series, where these are few. All functions are pure.

The engine takes longer to plan the statement that finds names first and then aggregates their values (`metrics.sql`)
than to send the rows of a page: most runs have one rank, and one or two rows a series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

MAX_PAGE = 1000
"""Names of the largest page that is made here: for thousands of rows this costs more than the planning."""
ROWS_A_NAME = 4
"""Rows that are read for each name: ranks times parts of a series that were not merged yet."""


def page(rows: Sequence[Mapping[str, Any]], requested: int, names: int) -> list[dict[str, Any]] | None:
    """Return at most `names` rows like those of `metrics.sql`; None where `rows` are too few for a page.

    `rows`: rows of `metrics_of_run.sql`, of which `requested` were requested.
    """
    found = [(str(name), list(members)) for name, members in groupby(rows, itemgetter("metric"))]
    if len(rows) >= requested:
        found.pop()  # this metric may have more rows
        if len(found) < names:
            return None
    return [_summary(name, members) for name, members in found[:names]]


def _summary(name: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    newest: dict[int, tuple[int, int, float, int]] = {}
    for row in rows:
        found = (row["step"], row["version"], row["value"], row["time_us"])
        known = newest.get(row["rank"])
        if known is None or found[:2] > known[:2]:
            newest[row["rank"]] = found
    steps, _, values, times_us = zip(*newest.values(), strict=True)
    return {
        "key": name,
        "runs": 1,
        "ranks": len(newest),
        "last_step": max(steps),
        "last_value": sum(values) / len(values),
        "last_us": max(times_us),
    }
