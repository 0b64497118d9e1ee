"""Answer requests about the ranks of a run: how they differ, which failed first, which are slow."""

from __future__ import annotations

from runstream_control.principal import Principal
from runstream_proto.v1 import curves_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.storage import Storage
from runstream_query.curves import rank_statistics, stragglers
from runstream_query.runs.lookup import Lookup


class RankMethods:
    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup

    async def GetRankCurves(self, principal: Principal, request: pb.GetRankCurvesRequest) -> pb.GetRankCurvesResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        response = await rank_statistics.rank_curves(self._storage, project, request)
        if not response.curves:
            await self._lookup.raise_for_unknown_names(project, [request.run], list(request.metrics))
        return response

    async def GetRankMap(self, principal: Principal, request: pb.GetRankMapRequest) -> pb.GetRankMapResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        if not request.metric:
            raise InvalidRequestError("metric is empty: name the metric that is to be drawn")
        response = await rank_statistics.rank_map(self._storage, project, request)
        if not response.ranks:
            await self._lookup.raise_for_unknown_names(project, [request.run], [request.metric])
        return response

    async def FindNotFinite(self, principal: Principal, request: pb.FindNotFiniteRequest) -> pb.FindNotFiniteResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        response = await rank_statistics.find_not_finite(self._storage, project, request)
        if not response.metrics:
            await self._lookup.raise_for_unknown_names(project, [request.run], list(request.metrics))
        return response

    async def FindStragglers(
        self, principal: Principal, request: pb.FindStragglersRequest
    ) -> pb.FindStragglersResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        response = await stragglers.find_stragglers(self._storage, project, request)
        if not response.ranks:
            await self._lookup.raise_for_unknown_names(
                project, [request.run], [request.metric] if request.metric else []
            )
        return response
