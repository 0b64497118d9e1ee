"""Answers requests for points and curves."""

from __future__ import annotations

from runstream_control.principal import Principal
from runstream_proto.v1 import curves_pb2
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.curves import history
from runstream_query.curves.again import Recent
from runstream_query.curves.asked import check, check_list
from runstream_query.curves.assemble import curves
from runstream_query.curves.encoding import fill
from runstream_query.curves.groups import MAX_RUNS, group_curves
from runstream_query.runs.lookup import Lookup


class CurveMethods:
    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup
        self._recent = Recent()

    async def GetHistory(self, principal: Principal, request: pb.GetHistoryRequest) -> pb.GetHistoryResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        response = await history.history(self._storage, project, request)
        if not response.series and not request.page_token:
            await self._lookup.raise_for_unknown_names(project, [request.run], list(request.metrics))
        return response

    async def GetCurves(self, principal: Principal, request: pb.GetCurvesRequest) -> pb.GetCurvesResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        asked = check(request)
        started: dict[str, int] = {}
        if asked.by_time:
            started = {row["run"]: row["started_us"] for row in await self._lookup.known_runs(project, asked.runs)}
        response = pb.GetCurvesResponse()
        fill(response, await curves(self._storage, project, asked, started, self._recent), asked)
        if not response.curves:
            await self._lookup.raise_for_unknown_names(project, list(request.runs), list(request.metrics))
        return response

    async def GetGroupCurves(
        self, principal: Principal, request: curves_pb2.GetGroupCurvesRequest
    ) -> curves_pb2.GetGroupCurvesResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        rows = await self._lookup.known_runs(project, check_list("runs", request.runs, MAX_RUNS))
        users = {row["run"]: row["user"] for row in rows}
        response = await group_curves(self._storage, project, request, users)
        if not response.curves:
            await self._lookup.raise_for_unknown_names(project, list(request.runs), list(request.metrics))
        return response
