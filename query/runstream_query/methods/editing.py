"""Applies changes that people make to runs and to their project, and lists who changed what."""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct

from runstream_control.changes import ChangeRow, ChangeStore
from runstream_control.control_store import ControlStore
from runstream_control.principal import Principal, check_writable
from runstream_proto.v1 import query_pb2 as pb
from runstream_proto.v1 import saved_pb2
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import make_token, page_size, read_token
from runstream_query.base.storage import Storage
from runstream_query.methods.runs import describe_projects
from runstream_query.runs.documents import make_runs, timestamp
from runstream_query.runs.editing import limits
from runstream_query.runs.editing.change import read_change, text
from runstream_query.runs.editing.edits import Edits
from runstream_query.runs.field_choice import parse_columns
from runstream_query.runs.lookup import Lookup


class EditingMethods:
    def __init__(self, storage: Storage, store: ControlStore, lookup: Lookup, edits: Edits) -> None:
        self._storage = storage
        self._store = store
        self._changes = ChangeStore.beside(store)
        self._lookup = lookup
        self._edits = edits

    async def UpdateRuns(self, principal: Principal, request: saved_pb2.UpdateRunsRequest) -> pb.UpdateRunsResponse:
        team, project = await self._lookup.team_project(principal, request.team, request.project)
        check_writable(principal, team)
        runs = list(dict.fromkeys(request.runs))
        if not 1 <= len(runs) <= limits.MAX_RUNS:
            raise InvalidRequestError(f"{len(runs)} runs: name 1 to {limits.MAX_RUNS}")
        change = read_change(request)
        rows = await self._lookup.known_runs(f"{team}/{project}", runs)
        await self._edits.apply(principal, team, project, runs, change)
        made = await make_runs(self._storage, f"{team}/{project}", rows, columns=parse_columns(["none"]))
        return pb.UpdateRunsResponse(runs=made)

    async def UpdateProject(self, principal: Principal, request: saved_pb2.UpdateProjectRequest) -> pb.Project:
        team, project = await self._lookup.team_project(principal, request.team, request.project)
        if not request.HasField("description"):
            raise InvalidRequestError("nothing to change: give a description; an empty one takes it away")
        words = text("description", request.description, limits.MAX_DESCRIPTION_BYTES)
        await self._changes.describe_project(principal, team=team, project=project, description=words)
        rows = [row for row in await self._store.projects(principal, team) if row.project == project]
        return (await describe_projects(self._storage, rows))[0]

    async def ListChanges(
        self, principal: Principal, request: saved_pb2.ListChangesRequest
    ) -> saved_pb2.ListChangesResponse:
        team, project = await self._lookup.team_project(principal, request.team, request.project)
        size = page_size(request.page_size, 100, 1000)
        before = (read_token(request, (int,)) or [0])[0]
        rows = await self._changes.changes(
            team=team, project=project, subject=request.subject, before=before, limit=size + 1, user=principal.user
        )
        response = saved_pb2.ListChangesResponse(changes=[_change(row) for row in rows[:size]])
        if len(rows) > size:
            response.next_page_token = make_token(request, [rows[size - 1].id])
        return response


def _change(row: ChangeRow) -> saved_pb2.Change:
    change = Struct()
    change.update(row.change)
    return saved_pb2.Change(
        what=row.what,
        subject=row.subject,
        user=row.user,
        key_prefix=row.key_prefix,
        time=timestamp(row.time_us),
        change=change,
    )
