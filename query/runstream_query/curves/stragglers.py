"""Tell which ranks of a large job are slow: by their progress, and by their pace."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from runstream_proto.v1 import curves_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import page_size
from runstream_query.base.storage import Storage

MAX_WINDOW = 100_000
_LAG_SLOWDOWN, _LAG_DEVIATION, _LAG_BEHIND = 1.1, 3.5, 0.1
_MAD_TO_STD = 1.4826
"""Ratio in a normal distribution; 3.5 such deviations mark outliers for Iglewicz and Hoaglin (1993)."""


async def find_stragglers(
    storage: Storage, project: str, request: pb.FindStragglersRequest
) -> pb.FindStragglersResponse:
    """Return how far each rank lags, the worst first. Raises InvalidRequestError."""
    window = request.window or 100
    if not 2 <= window <= MAX_WINDOW:
        raise InvalidRequestError(f"window is {window}: give 2 to {MAX_WINDOW} steps")
    limit = page_size(request.limit, 100, 10_000, "limit")
    metric = request.metric
    if not metric:
        widest = await storage.rows("widest_metric", project=project, run=request.run)
        if not widest:
            return pb.FindStragglersResponse()
        metric = widest[0]["metric"]
    progress = await storage.rows("ranks_of", project=project, run=request.run, metric=metric)
    if not progress:
        return pb.FindStragglersResponse()
    newest_step = max(row["last_step"] for row in progress)
    paces = await _paces(storage, project, request, metric, newest_step, window)
    hosts = await storage.rows("rank_hosts", project=project, run=request.run)
    stragglers = judge(progress, paces, window)
    for straggler in stragglers:
        straggler.host = next((row["newest_host"] for row in hosts if row["rank"] == straggler.rank), "")
    return pb.FindStragglersResponse(
        ranks=stragglers[:limit],
        metric=metric,
        newest_step=newest_step,
        median_step_s=statistics.median(paces.values()) if paces else 0.0,
        all_ranks=len(progress),
    )


async def _paces(
    storage: Storage, project: str, request: pb.FindStragglersRequest, metric: str, newest_step: int, window: int
) -> dict[int, float]:
    """Return seconds a step by rank, without ranks for which they cannot be computed."""
    rows = await storage.rows(
        "step_times",
        project=project,
        run=request.run,
        metric=request.time_metric or metric,
        min_step=newest_step - window + 1,
        max_step=newest_step,
        by_value=int(bool(request.time_metric)),
    )
    return {row["rank"]: row["step_s"] for row in rows if np.isfinite(row["step_s"])}


def judge(progress: Sequence[dict[str, Any]], paces: dict[int, float], window: int) -> list[pb.Straggler]:
    """Return all ranks, those furthest behind first, then the slowest. Pure.

    `progress`: rank, last_step and last_us of each rank. `paces`: seconds a step by rank. `window`: in steps.
    """
    newest_step = max(row["last_step"] for row in progress)
    newest_us = max(row["last_us"] for row in progress)
    median = statistics.median(paces.values()) if paces else 0.0
    spread = _MAD_TO_STD * statistics.median(abs(pace - median) for pace in paces.values()) if paces else 0.0
    ranks = []
    for row in progress:
        pace = paces.get(row["rank"], float("nan"))
        behind = newest_step - row["last_step"]
        slowdown = pace / median if median > 0 else float("nan")
        difference = pace - median
        deviation = difference / spread if spread > 0 else (float("inf") if difference > 0 else 0.0)
        slow = slowdown > _LAG_SLOWDOWN and deviation > _LAG_DEVIATION
        ranks.append(
            pb.Straggler(
                rank=row["rank"],
                last_step=row["last_step"],
                steps_behind=behind,
                silent_s=(newest_us - row["last_us"]) / 1e6,
                step_s=pace,
                slowdown=slowdown,
                deviation=deviation,
                lags=slow or behind > _LAG_BEHIND * window,
            )
        )
    ranks.sort(key=lambda one: (-one.steps_behind, -one.slowdown if one.slowdown == one.slowdown else 0.0, one.rank))
    return ranks
