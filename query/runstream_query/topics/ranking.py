"""Which runs are best."""

from __future__ import annotations

import json
from typing import Any

from runstream_common.control.store import Principal
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.documents import make_runs
from runstream_query.errors import InvalidQuestionError, UnknownNameError
from runstream_query.lookup import Lookup
from runstream_query.paging import page_size
from runstream_query.storage import Storage

_AGGREGATES = {pb.AGGREGATE_MIN: "min", pb.AGGREGATE_MAX: "max", pb.AGGREGATE_MEAN: "mean"}


class Ranking:
    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup

    async def RankRuns(self, principal: Principal, request: pb.RankRunsRequest) -> pb.RankRunsResponse:  # noqa: N802
        project = await self._lookup.project(principal, request.team, request.project)
        if not request.metric:
            raise InvalidQuestionError("metric is empty: name the metric to rank by")
        question: dict[str, Any] = {
            "project": project,
            "metric": request.metric,
            "sweep": json.dumps(request.sweep_id) if request.sweep_id else "",
            "ascending": int(request.ascending),
            "limit": page_size(request.limit, 10, 1000),
        }
        if request.aggregate in _AGGREGATES:
            found = await self._storage.rows("rank_all", aggregate=_AGGREGATES[request.aggregate], **question)
            values = {row["run"]: row["best"] for row in found}
        else:
            values = {row["run"]: row["value"] for row in await self._storage.rows("rank_last", **question)}
        if not values:
            raise UnknownNameError(f"no run of {project} has the metric {request.metric!r}")
        rows = {row["run"]: row for row in await self._lookup.run_rows(project, runs=list(values), limit=len(values))}
        ordered = [rows[run] for run in values if run in rows]
        response = pb.RankRunsResponse()
        for place, run in enumerate(await make_runs(self._storage, project, ordered), start=1):
            response.runs.add(place=place, value=values[run.id], run=run)
        return response
