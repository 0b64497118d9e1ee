"""Answers requests for the caller's identity, for projects, and for one run."""

from __future__ import annotations

from collections.abc import Sequence

from runstream_common.identity import full_project
from runstream_control.control_store import ControlStore, ProjectRow
from runstream_control.principal import Principal
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.offload import offload
from runstream_query.base.storage import Storage
from runstream_query.runs import large_values
from runstream_query.runs.documents import load, make_run, timestamp
from runstream_query.runs.editing.replaced_fields import edited_fields
from runstream_query.runs.lookup import Lookup
from runstream_query.runs.verdict.completeness import describe_streams, judge

_MAX_VERIFIED = 200
"""Runs of one request: all their rows are read."""


class RunMethods:
    def __init__(self, storage: Storage, store: ControlStore, lookup: Lookup) -> None:
        self._storage = storage
        self._store = store
        self._lookup = lookup

    async def WhoAmI(self, principal: Principal, request: pb.WhoAmIRequest) -> pb.WhoAmIResponse:
        return pb.WhoAmIResponse(
            user=principal.user,
            teams=sorted(principal.roles),
            default_team=principal.default_team,
            key_prefix=principal.key_prefix,
        )

    async def ListProjects(self, principal: Principal, request: pb.ListProjectsRequest) -> pb.ListProjectsResponse:
        team = self._lookup.team(principal, request.team) if request.team else None
        rows = await self._store.projects(principal, team)
        return pb.ListProjectsResponse(projects=await describe_projects(self._storage, rows))

    async def GetRun(self, principal: Principal, request: pb.GetRunRequest) -> pb.Run:
        project = await self._lookup.project(principal, request.team, request.project)
        rows = await self._lookup.known_runs(project, [request.run])
        loaded = await load(self._storage, project, [request.run], environment=True, in_list=False)
        run = await offload(loaded.is_large, make_run, project, rows[0], loaded, True)
        if request.large_values:
            marks = loaded.large.get(request.run, [])
            values = await large_values.read(self._storage, project, request.run, marks)
            for value, mark in zip(run.large, marks, strict=False):  # `large` is empty where the run is unreadable
                value.value_json = values.get(mark, "")
        sizes = {request.run: run.world_size}
        described = await describe_streams(self._storage, project, sizes, await self._lookup.silent_us())
        run.streams.extend(described[request.run].streams)
        if not request.omit_completeness:
            run.completeness.CopyFrom((await judge(self._storage, project, described))[request.run])
        for row in await self._storage.rows("last_steps", project=project, run=request.run):
            run.last_steps.add(rank=row["rank"], step=row["last_step"])
        for field, value in (await edited_fields(self._storage, project, request.run)).items():
            run.edited_fields.add(field=field, replaced_json=value)
        return run

    async def VerifyRuns(self, principal: Principal, request: pb.VerifyRunsRequest) -> pb.VerifyRunsResponse:
        if not 1 <= len(request.runs) <= _MAX_VERIFIED:
            raise InvalidRequestError(f"runs: give 1 to {_MAX_VERIFIED}")
        project = await self._lookup.project(principal, request.team, request.project)
        rows = await self._lookup.known_runs(project, sorted(set(request.runs)))
        sizes = {row["run"]: row["world_size"] for row in rows}
        described = await describe_streams(self._storage, project, sizes, await self._lookup.silent_us())
        verdicts = await judge(self._storage, project, described)
        response = pb.VerifyRunsResponse()
        for run in request.runs:
            response.runs.add(run=run, completeness=verdicts[run])
        return response


async def describe_projects(storage: Storage, rows: Sequence[ProjectRow]) -> list[pb.Project]:
    """Return the messages of projects, in order. Raises StorageError."""
    names = [full_project(row.team, row.project) for row in rows]
    found = await storage.rows("projects", projects=names) if names else []
    known = {row["project"]: row for row in found}
    projects = []
    for row, name in zip(rows, names, strict=True):
        seen = known.get(name, {"runs": 0, "last_us": 0})
        project = pb.Project(
            team=row.team,
            name=row.project,
            runs=seen["runs"],
            created=timestamp(row.created_us),
            last_activity=timestamp(seen["last_us"]),
            description=row.description,
        )
        projects.append(project)
    return projects
