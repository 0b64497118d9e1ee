"""Computes the state of a run from what its ranks reported (rows of `runs.sql`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

FACTS = ("failed", "crashed", "preempted", "ended", "open", "heard_us", "world_size")
"""Columns of `runs.sql` from which the state follows."""
NAMES = ("failed", "crashed", "preempted", "finished", "running")


class RunRow(TypedDict):
    """A row of `runs.sql` with the state of the run."""

    run: str
    user: str
    hosts: list[str]
    created_us: int
    started_us: int
    seen_us: int
    finished_us: int
    heard_us: int
    world_size: int
    failed: int
    crashed: int
    preempted: int
    ended: int
    open: int
    """These five are numbers of ranks."""
    state: str


def state_codes(columns: Mapping[str, NDArray[np.int64]], silent_us: int) -> NDArray[np.int64]:
    """Return the state of each run, (N,) indexes into `NAMES`. `columns`: FACTS, (N,) each.

    A rank whose newest stream has no outcome, and from which the server has heard nothing since `silent_us`, has
    crashed. Ranks that never reported are waited for until the same time after the run's last sign of life; then the
    run counts as finished, and the verdict tells how many ranks reported.
    """
    unheard = columns["heard_us"] < silent_us
    silent = (columns["open"] > 0) & unheard
    return np.select(
        [
            columns["failed"] > 0,
            (columns["crashed"] > 0) | silent,
            columns["preempted"] > 0,
            (columns["ended"] >= columns["world_size"]) | ((columns["open"] == 0) & unheard),
        ],
        [0, 1, 2, 3],
        4,
    )


def with_state(rows: list[dict[str, Any]], silent_us: int) -> list[RunRow]:
    """Add `state` to the rows, parse `hosts` into a list, and return them."""
    if rows:
        codes = state_codes({name: np.array([row[name] for row in rows]) for name in FACTS}, silent_us)
        for row, code in zip(rows, codes.tolist(), strict=True):
            row["state"] = NAMES[code]
            row["hosts"] = json.loads(row["hosts"])
    return cast("list[RunRow]", rows)
