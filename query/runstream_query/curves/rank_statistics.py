"""Answers requests about large jobs: how the ranks differ, which rank failed first, which ranks are slow."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from runstream_proto.v1 import curves_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import page_size
from runstream_query.base.storage import Storage
from runstream_query.curves.extents import span_of
from runstream_query.curves.request_checks import bucket_count, check_list, step_range
from runstream_query.curves.widths import GRID, width_for

MAX_METRICS = 20
MAX_MAP_RANKS, MAX_MAP_BUCKETS = 4096, 2000
MAX_WINDOW = 100_000
_LAG_SLOWDOWN, _LAG_DEVIATION, _LAG_BEHIND = 1.1, 3.5, 0.1
_MAD_TO_STD = 1.4826
"""Ratio in a normal distribution; 3.5 such deviations mark outliers for Iglewicz and Hoaglin (1993)."""


async def rank_curves(storage: Storage, project: str, request: pb.GetRankCurvesRequest) -> pb.GetRankCurvesResponse:
    """Return the curves of statistics over ranks. Raises InvalidRequestError."""
    metrics = check_list("metrics", request.metrics, MAX_METRICS)
    low, high = step_range(request)
    buckets = bucket_count(request.buckets)
    common: dict[str, Any] = {
        "project": project,
        "run": request.run,
        "ranks": sorted(set(request.ranks)),
        "min_step": low,
        "max_step": high,
        "percentiles": int(request.percentiles),
    }
    response = pb.GetRankCurvesResponse()
    for metric in metrics:
        width = 1
        if high - low >= buckets:
            span = await span_of(storage, project, request.run, metric, low, high)
            if span is None:
                continue
            width = width_for(*span, buckets)
        if width == 1:
            columns = await storage.columns("rank_steps", metric=metric, **common)
        else:
            columns = await storage.columns("rank_buckets", metric=metric, width=width, grid=GRID, **common)
        if len(columns["bucket"]):
            _fill(response.curves.add(metric=metric, bucket_width=width), columns, request.percentiles)
    return response


def _fill(curve: pb.RankCurve, columns: dict[str, Any], percentiles: bool) -> None:
    names = {
        "first_steps": "first_step",
        "last_steps": "last_step",
        "means": "mean",
        "stds": "std",
        "mins": "minimum",
        "maxs": "maximum",
        "min_ranks": "min_rank",
        "max_ranks": "max_rank",
        "counts": "ranks",
        "not_finite": "not_finite",
    }
    for field, column in names.items():
        getattr(curve, field).extend(columns[column].tolist())
    if percentiles:
        stacked = np.vstack(columns["percentiles"])
        for index, field in enumerate(("p05s", "p50s", "p95s")):
            getattr(curve, field).extend(stacked[:, index].tolist())


async def rank_map(storage: Storage, project: str, request: pb.GetRankMapRequest) -> pb.GetRankMapResponse:
    """Return the means of each rank and bucket, (ranks, buckets). Raises InvalidRequestError."""
    low, high = step_range(request)
    buckets = bucket_count(request.buckets, 200, MAX_MAP_BUCKETS)
    known = await storage.rows("ranks_of", project=project, run=request.run, metric=request.metric)
    wanted = set(request.ranks)
    ranks = [row["rank"] for row in known if not wanted or row["rank"] in wanted][:MAX_MAP_RANKS]
    span = await span_of(storage, project, request.run, request.metric, low, high) if ranks else None
    if span is None:
        return pb.GetRankMapResponse(all_ranks=len(known))
    width = width_for(*span, buckets)
    columns = await storage.columns(
        "rank_map",
        project=project,
        run=request.run,
        metric=request.metric,
        ranks=ranks,
        min_step=low,
        max_step=high,
        width=width,
        grid=GRID,
    )
    numbers, places = np.unique(columns["bucket"], return_inverse=True)
    rows = np.searchsorted(np.array(ranks), columns["rank"])
    means = np.full((len(ranks), len(numbers)), np.nan)
    means[rows, places] = columns["mean"]
    odd = np.zeros((len(ranks), len(numbers)), dtype=np.int64)
    odd[rows, places] = columns["not_finite"]
    steps = np.full(len(numbers), np.iinfo(np.int64).max)
    np.minimum.at(steps, places, columns["first_step"])
    return pb.GetRankMapResponse(
        bucket_width=width,
        steps=steps.tolist(),
        ranks=ranks,
        means=means.ravel().tolist(),
        not_finite=odd.ravel().tolist(),
        all_ranks=len(known),
    )


async def find_not_finite(storage: Storage, project: str, request: pb.FindNotFiniteRequest) -> pb.FindNotFiniteResponse:
    """Return the first NaN or infinity of each metric. Raises InvalidRequestError."""
    metrics = check_list("metrics", request.metrics, 1000) if request.metrics else []
    response = pb.FindNotFiniteResponse()
    for row in await storage.rows("not_finite", project=project, run=request.run, metrics=metrics):
        response.metrics.add(
            metric=row["metric"],
            step=row["first_step"],
            rank=row["first_rank"],
            value=row["first_value"],
            time_us=row["first_us"],
            points=row["points"],
            ranks=row["ranks"],
        )
    return response


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
    found = judge(progress, paces, window)
    for straggler in found:
        straggler.host = next((row["newest_host"] for row in hosts if row["rank"] == straggler.rank), "")
    return pb.FindStragglersResponse(
        ranks=found[:limit],
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
    found = []
    for row in progress:
        pace = paces.get(row["rank"], float("nan"))
        behind = newest_step - row["last_step"]
        slowdown = pace / median if median > 0 else float("nan")
        difference = pace - median
        deviation = difference / spread if spread > 0 else (float("inf") if difference > 0 else 0.0)
        slow = slowdown > _LAG_SLOWDOWN and deviation > _LAG_DEVIATION
        found.append(
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
    found.sort(key=lambda one: (-one.steps_behind, -one.slowdown if one.slowdown == one.slowdown else 0.0, one.rank))
    return found
