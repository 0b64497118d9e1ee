"""Deletes runs, metrics and projects, and sets how long a project keeps its runs."""

from __future__ import annotations

from runstream_control.control_store import ControlStore
from runstream_control.principal import Principal
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.deletion import Deletion
from runstream_query.runs.lookup import Lookup

_MAX_DELETED = 1000
_MAX_RETENTION_DAYS = 36_500


class DeletionMethods:
    def __init__(self, store: ControlStore, lookup: Lookup, deletion: Deletion) -> None:
        self._store = store
        self._lookup = lookup
        self._deletion = deletion

    async def DeleteRuns(self, principal: Principal, request: pb.DeleteRunsRequest) -> pb.DeleteResponse:
        team, project = await self._lookup.team_project(principal, request.team, request.project)
        if not 1 <= len(request.runs) <= _MAX_DELETED:
            raise InvalidRequestError(f"{len(request.runs)} runs: name 1 to {_MAX_DELETED}")
        return await self._deletion.runs(principal, team, project, list(dict.fromkeys(request.runs)))

    async def DeleteMetric(self, principal: Principal, request: pb.DeleteMetricRequest) -> pb.DeleteResponse:
        team, project = await self._lookup.team_project(principal, request.team, request.project)
        if not request.metric:
            raise InvalidRequestError("metric is empty: name the metric to delete")
        return await self._deletion.metric(principal, team, project, request.run, request.metric)

    async def DeleteProject(self, principal: Principal, request: pb.DeleteProjectRequest) -> pb.DeleteResponse:
        team, project = await self._lookup.team_project(principal, request.team, request.project)
        return await self._deletion.project(principal, team, project)

    async def SetRetention(self, principal: Principal, request: pb.SetRetentionRequest) -> pb.SetRetentionResponse:
        team, project = await self._lookup.team_project(principal, request.team, request.project)
        if request.days > _MAX_RETENTION_DAYS:
            raise InvalidRequestError(f"{request.days} days: at most {_MAX_RETENTION_DAYS}; 0 keeps for ever")
        before = await self._store.set_retention(principal, team=team, project=project, days=request.days)
        return pb.SetRetentionResponse(days=before)
