"""Curves: raw pages, and buckets that hide nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from runstream_common.limits import MAX_STEP
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.errors import InvalidQuestionError
from runstream_query.paging import make_token, page_size, read_token
from runstream_query.storage import Storage

MAX_PAGE = 1_000_000
MAX_BUCKETS = 10_000
_COLUMNS = {
    "first_steps": "first_step",
    "last_steps": "last_step",
    "firsts": "first",
    "lasts": "last",
    "mins": "minimum",
    "maxs": "maximum",
    "means": "mean",
    "counts": "points",
    "not_finite": "not_finite",
    "first_times_us": "first_us",
}


def step_range(request: Any) -> tuple[int, int]:
    """min_step and max_step, or all steps. Raises InvalidQuestionError when reversed."""
    low = request.min_step if request.HasField("min_step") else -MAX_STEP
    high = request.max_step if request.HasField("max_step") else MAX_STEP
    if low > high:
        raise InvalidQuestionError(f"min_step {low} is greater than max_step {high}: swap them")
    return max(low, -MAX_STEP), min(high, MAX_STEP)


def check_list(what: str, values: Any, most: int) -> list[str]:
    if not 1 <= len(values) <= most:
        raise InvalidQuestionError(f"{what}: give 1 to {most}, not {len(values)}")
    return sorted(set(values))


async def history(storage: Storage, project: str, request: pb.GetHistoryRequest) -> pb.GetHistoryResponse:
    """One page of points, as they were logged."""
    low, high = step_range(request)
    size = page_size(request.page_size, 100_000, MAX_PAGE)
    metric, rank, step = read_token(request, (str, int, int)) or ("", -1, 0)
    columns = await storage.columns(
        "history",
        project=project,
        run=request.run,
        metrics=check_list("metrics", request.metrics, 1000),
        ranks=list(request.ranks),
        min_step=low,
        max_step=high,
        after_metric=metric,
        after_rank=rank,
        after_step=step,
        limit=size,
    )
    response = pb.GetHistoryResponse()
    count = len(columns["step"])
    for start, end in _pieces(columns["metric"], columns["rank"]):
        series = response.series.add(metric=columns["metric"][start], rank=int(columns["rank"][start]))
        series.steps.extend(columns["step"][start:end].tolist())
        series.values.extend(columns["value"][start:end].tolist())
        series.times_us.extend(columns["time_us"][start:end].tolist())
    if count == size:
        place = [str(columns["metric"][-1]), int(columns["rank"][-1]), int(columns["step"][-1])]
        response.next_page_token = make_token(request, place)
    return response


async def curves(storage: Storage, project: str, request: pb.GetCurvesRequest) -> pb.GetCurvesResponse:
    """Curves of several runs and metrics, each in at most `buckets` buckets of equal width.

    A curve that has no more rows than buckets comes point by point.
    """
    runs, metrics = check_list("runs", request.runs, 100), check_list("metrics", request.metrics, 100)
    if request.buckets > MAX_BUCKETS:
        raise InvalidQuestionError(f"buckets is {request.buckets}: at most {MAX_BUCKETS}")
    buckets = request.buckets or 1000
    low, high = step_range(request)
    ranks = [request.rank] if request.selection == pb.RANK_SELECTION_ONE else []
    common = {"project": project, "ranks": ranks, "min_step": low, "max_step": high}
    extents = await storage.rows("extent", runs=runs, metrics=metrics, **common)
    response = pb.GetCurvesResponse()
    for (run, origin, width), names in sorted(_plans(extents, buckets).items()):
        question = {**common, "run": run, "metrics": names, "origin": origin, "width": width}
        if request.selection in (pb.RANK_SELECTION_UNSPECIFIED, pb.RANK_SELECTION_MEAN):
            question.pop("ranks")
            columns = await storage.columns("curves_mean", **question)
        else:
            columns = await storage.columns("curves_each", **question)
        for start, end in _pieces(columns["metric"], columns["rank"]):
            curve = response.curves.add(
                run=run, metric=columns["metric"][start], rank=int(columns["rank"][start]), bucket_width=width
            )
            for field, column in _COLUMNS.items():
                getattr(curve, field).extend(columns[column][start:end].tolist())
    return response


def _plans(extents: list[dict[str, Any]], buckets: int) -> dict[tuple[str, int, int], list[str]]:
    """Metrics that can be asked for together: of one run, with one origin and bucket width."""
    plans: dict[tuple[str, int, int], list[str]] = {}
    for extent in extents:
        origin, span = extent["first_step"], extent["last_step"] - extent["first_step"] + 1
        width = 1 if extent["rows"] <= buckets else max(-(-span // buckets), 1)
        plans.setdefault((extent["run"], origin, width), []).append(extent["metric"])
    return plans


def _pieces(metrics: Any, ranks: Any) -> list[tuple[int, int]]:
    """Where one series ends and the next begins, in columns ordered by metric and rank."""
    if not len(metrics):
        return []
    changes = np.flatnonzero((metrics[1:] != metrics[:-1]) | (ranks[1:] != ranks[:-1])) + 1
    edges = [0, *changes.tolist(), len(metrics)]
    return list(zip(edges[:-1], edges[1:], strict=True))
