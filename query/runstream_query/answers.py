"""`QueryService`, without a transport: one method a question."""

from __future__ import annotations

import json
from typing import Any

from runstream_common.control.store import ControlStore, Principal
from runstream_common.identity import full_project
from runstream_common.times import now_us
from runstream_proto.v1 import query_pb2 as pb
from runstream_query import curves
from runstream_query.completeness import describe_streams
from runstream_query.deletion import Deletion
from runstream_query.documents import STATE_NAMES, make_runs, timestamp
from runstream_query.errors import InvalidQuestionError, UnknownNameError
from runstream_query.names import Names, nearest
from runstream_query.paging import make_token, page_size, read_token
from runstream_query.storage import Storage

_MAX_DELETED = 1000
_MAX_RETENTION_DAYS = 36_500
_AGGREGATES = {pb.AGGREGATE_MIN: "min", pb.AGGREGATE_MAX: "max", pb.AGGREGATE_MEAN: "mean"}


class Answers:
    """Methods are named as in query.proto; each takes the caller and the request, and returns the response.

    All raise QueryError, StorageError, ControlError.
    """

    def __init__(self, storage: Storage, store: ControlStore, deletion: Deletion, crash_after_s: float = 300.0) -> None:
        """`crash_after_s`: a run of which nothing is heard for so long, and which did not finish, has crashed."""
        self._storage = storage
        self._store = store
        self._deletion = deletion
        self._crash_after_us = int(crash_after_s * 1e6)
        self._names = Names(store)

    async def project(self, principal: Principal, team: str, project: str) -> str:
        """`team/project`, which exists and which the caller may read."""
        return await self._names.project(principal, team, project)

    async def WhoAmI(self, principal: Principal, request: pb.WhoAmIRequest) -> pb.WhoAmIResponse:  # noqa: N802
        return pb.WhoAmIResponse(
            user=principal.user,
            teams=sorted(principal.roles),
            default_team=principal.default_team,
            key_prefix=principal.key_prefix,
        )

    async def ListProjects(  # noqa: N802
        self, principal: Principal, request: pb.ListProjectsRequest
    ) -> pb.ListProjectsResponse:
        team = self._names.team(principal, request.team) if request.team else None
        rows = await self._store.projects(principal, team)
        names = [full_project(row.team, row.project) for row in rows]
        found = await self._storage.rows("projects", projects=names) if names else []
        known = {row["project"]: row for row in found}
        response = pb.ListProjectsResponse()
        for row, name in zip(rows, names, strict=True):
            seen = known.get(name, {"runs": 0, "last_us": 0})
            response.projects.add(
                team=row.team,
                name=row.project,
                runs=seen["runs"],
                created=timestamp(row.created_us),
                last_activity=timestamp(seen["last_us"]),
            )
        return response

    async def ListRuns(self, principal: Principal, request: pb.ListRunsRequest) -> pb.ListRunsResponse:  # noqa: N802
        project = await self._names.project(principal, request.team, request.project)
        size = page_size(request.page_size, 50, 1000)
        after_us, after_run = read_token(request, (int, str)) or (-1, "")
        rows = await self._run_rows(
            project,
            state=STATE_NAMES.get(request.state, ""),
            search=request.search,
            after_us=after_us,
            after_run=after_run,
            limit=size,
        )
        response = pb.ListRunsResponse(
            runs=await make_runs(self._storage, project, rows), total=rows[0]["total"] if rows else 0
        )
        if len(rows) == size:
            response.next_page_token = make_token(request, [rows[-1]["created_us"], rows[-1]["run"]])
        return response

    async def GetRun(self, principal: Principal, request: pb.GetRunRequest) -> pb.Run:  # noqa: N802
        project = await self._names.project(principal, request.team, request.project)
        rows = await self._known_runs(project, [request.run])
        run = (await make_runs(self._storage, project, rows, environment=True))[0]
        streams, completeness = await describe_streams(
            self._storage, project, request.run, run.world_size, self._silent_us()
        )
        run.streams.extend(streams)
        run.completeness.CopyFrom(completeness)
        for row in await self._storage.rows("last_steps", project=project, run=request.run):
            run.last_steps.add(rank=row["rank"], step=row["last_step"])
        return run

    async def ListMetrics(  # noqa: N802
        self, principal: Principal, request: pb.ListMetricsRequest
    ) -> pb.ListMetricsResponse:
        project = await self._names.project(principal, request.team, request.project)
        size = page_size(request.page_size, 1000, 10_000)
        (after,) = read_token(request, (str,)) or ("",)
        if not after:
            await self._known_runs(project, [request.run])
        rows = await self._storage.rows(
            "last_values", project=project, runs=[request.run], search=request.search, after=after, limit=size
        )
        response = pb.ListMetricsResponse()
        for row in rows:
            response.metrics.add(
                name=row["metric"],
                ranks=row["ranks"],
                last_step=row["last_step"],
                last_value=row["last_value"],
                last_time=timestamp(row["last_us"]),
            )
        if len(rows) == size:
            response.next_page_token = make_token(request, [rows[-1]["metric"]])
        return response

    async def GetHistory(  # noqa: N802
        self, principal: Principal, request: pb.GetHistoryRequest
    ) -> pb.GetHistoryResponse:
        project = await self._names.project(principal, request.team, request.project)
        response = await curves.history(self._storage, project, request)
        if not response.series and not request.page_token:
            await self._explain_nothing(project, [request.run], list(request.metrics))
        return response

    async def GetCurves(self, principal: Principal, request: pb.GetCurvesRequest) -> pb.GetCurvesResponse:  # noqa: N802
        project = await self._names.project(principal, request.team, request.project)
        response = await curves.curves(self._storage, project, request)
        if not response.curves:
            await self._explain_nothing(project, list(request.runs), list(request.metrics))
        return response

    async def RankRuns(self, principal: Principal, request: pb.RankRunsRequest) -> pb.RankRunsResponse:  # noqa: N802
        project = await self._names.project(principal, request.team, request.project)
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
        rows = {row["run"]: row for row in await self._run_rows(project, runs=list(values), limit=len(values))}
        ordered = [rows[run] for run in values if run in rows]
        response = pb.RankRunsResponse()
        for place, run in enumerate(await make_runs(self._storage, project, ordered), start=1):
            response.runs.add(place=place, value=values[run.id], run=run)
        return response

    async def DeleteRuns(  # noqa: N802
        self, principal: Principal, request: pb.DeleteRunsRequest
    ) -> pb.DeleteResponse:
        team, project = await self._team_project(principal, request.team, request.project)
        if not 1 <= len(request.runs) <= _MAX_DELETED:
            raise InvalidQuestionError(f"{len(request.runs)} runs: name 1 to {_MAX_DELETED}")
        return await self._deletion.runs(principal, team, project, list(dict.fromkeys(request.runs)))

    async def DeleteMetric(  # noqa: N802
        self, principal: Principal, request: pb.DeleteMetricRequest
    ) -> pb.DeleteResponse:
        team, project = await self._team_project(principal, request.team, request.project)
        if not request.metric:
            raise InvalidQuestionError("metric is empty: name the metric to delete")
        return await self._deletion.metric(principal, team, project, request.run, request.metric)

    async def DeleteProject(  # noqa: N802
        self, principal: Principal, request: pb.DeleteProjectRequest
    ) -> pb.DeleteResponse:
        team, project = await self._team_project(principal, request.team, request.project)
        return await self._deletion.project(principal, team, project)

    async def SetRetention(  # noqa: N802
        self, principal: Principal, request: pb.SetRetentionRequest
    ) -> pb.SetRetentionResponse:
        team, project = await self._team_project(principal, request.team, request.project)
        if request.days > _MAX_RETENTION_DAYS:
            raise InvalidQuestionError(f"{request.days} days: at most {_MAX_RETENTION_DAYS}; 0 keeps for ever")
        before = await self._store.set_retention(principal, team=team, project=project, days=request.days)
        return pb.SetRetentionResponse(days=before)

    async def _team_project(self, principal: Principal, team: str, project: str) -> tuple[str, str]:
        found = await self._names.project(principal, team, project)
        name, _, rest = found.partition("/")
        return name, rest

    async def _run_rows(self, project: str, **question: Any) -> list[dict[str, Any]]:
        defaults = {"runs": [], "state": "", "search": "", "after_us": -1, "after_run": ""}
        question = {**defaults, "silent_us": self._silent_us(), **question}
        return await self._storage.rows("runs", project=project, **question)

    def _silent_us(self) -> int:
        return now_us() - self._crash_after_us

    async def _known_runs(self, project: str, runs: list[str]) -> list[dict[str, Any]]:
        """Rows of these runs. Raises UnknownNameError naming the first that is not there."""
        rows = await self._run_rows(project, runs=runs, limit=len(runs))
        known = {row["run"] for row in rows}
        for run in runs:
            if run not in known:
                others = await self._run_rows(project, limit=1000)
                raise UnknownNameError(
                    f"there is no run {run[:130]!r} in {project}{nearest(run, (row['run'] for row in others))}"
                )
        return rows

    async def _explain_nothing(self, project: str, runs: list[str], metrics: list[str]) -> None:
        """Nothing was found: raise UnknownNameError where a name is unknown; an empty range is an empty answer."""
        await self._known_runs(project, runs)
        rows = await self._storage.rows("last_values", project=project, runs=runs, search="", after="", limit=10_000)
        known = {row["metric"] for row in rows}
        for metric in metrics:
            if metric not in known:
                raise UnknownNameError(
                    f"there is no metric {metric[:100]!r} in {', '.join(runs[:3])}{nearest(metric, known)}"
                )
