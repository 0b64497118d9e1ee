"""Compare the ranks of a large job: how they differ, and which failed first."""

from __future__ import annotations

from typing import Any

import numpy as np

from runstream_proto.v1 import curves_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.curves.extents import span_of
from runstream_query.curves.request_checks import bucket_count, check_list, step_range
from runstream_query.curves.widths import GRID, width_for

MAX_METRICS = 20
MAX_MAP_RANKS, MAX_MAP_BUCKETS = 4096, 2000


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
            _encode(response.curves.add(metric=metric, bucket_width=width), columns, request.percentiles)
    return response


def _encode(curve: pb.RankCurve, columns: dict[str, Any], percentiles: bool) -> None:
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
