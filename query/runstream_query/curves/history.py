"""Read points as they were logged, one page at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.paging import make_token, page_size, read_token
from runstream_query.base.storage import Storage
from runstream_query.curves.request_checks import check_list, step_range

MAX_PAGE = 1_000_000


async def history(storage: Storage, project: str, request: pb.GetHistoryRequest) -> pb.GetHistoryResponse:
    """Return one page of points as they were logged. Raises InvalidRequestError, StorageError."""
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


def _pieces(metrics: Any, ranks: Any) -> list[tuple[int, int]]:
    """Return the start and end of each series, in columns that are sorted by metric and rank."""
    if not len(metrics):
        return []
    changes = np.flatnonzero((metrics[1:] != metrics[:-1]) | (ranks[1:] != ranks[:-1])) + 1
    edges = [0, *changes.tolist(), len(metrics)]
    return list(zip(edges[:-1], edges[1:], strict=True))
