"""Answer requests for points and curves."""

from __future__ import annotations

from runstream_control.principal import Principal
from runstream_proto.v1 import curves_pb2
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.curves import history
from runstream_query.curves.curve_query import check_query
from runstream_query.curves.curve_reading import curves_of
from runstream_query.curves.encoding import encode_curves
from runstream_query.curves.group_curves import check_group_query, group_curves
from runstream_query.curves.plan_cache import PlanCache
from runstream_query.curves.readers.curve_reader import ReadContext
from runstream_query.runs.lookup import Lookup


class CurveMethods:
    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup
        self._plans = PlanCache()

    async def GetHistory(self, principal: Principal, request: pb.GetHistoryRequest) -> pb.GetHistoryResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        response = await history.history(self._storage, project, request)
        if not response.series and not request.page_token:
            await self._lookup.raise_for_unknown_names(project, [request.run], list(request.metrics))
        return response

    async def GetCurves(self, principal: Principal, request: pb.GetCurvesRequest) -> pb.GetCurvesResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        query = check_query(request)
        started: dict[str, int] = {}
        if query.by_time:
            started = {row["run"]: row["started_us"] for row in await self._lookup.known_runs(project, query.runs)}
        curves = await curves_of(ReadContext(self._storage, project, query, started), self._plans)
        response = encode_curves(curves, query)
        if not response.curves:
            await self._lookup.raise_for_unknown_names(project, list(request.runs), list(request.metrics))
        return response

    async def GetGroupCurves(
        self, principal: Principal, request: curves_pb2.GetGroupCurvesRequest
    ) -> curves_pb2.GetGroupCurvesResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        query = check_group_query(request)
        users = {row["run"]: row["user"] for row in await self._lookup.known_runs(project, query.runs)}
        response = await group_curves(self._storage, project, query, users)
        if not response.curves:
            await self._lookup.raise_for_unknown_names(project, list(request.runs), list(request.metrics))
        return response
