"""Manages saved views and reports."""

from __future__ import annotations

import re

from runstream_control.control_store import ControlStore
from runstream_control.principal import Principal, check_writable
from runstream_control.saved import SavedRow, SavedStore
from runstream_proto.v1 import saved_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.documents import timestamp
from runstream_query.runs.editing import limits
from runstream_query.runs.editing.change import one_line, text
from runstream_query.runs.lookup import Lookup

_KINDS = {
    pb.SAVED_KIND_CHARTS: "charts",
    pb.SAVED_KIND_TABLE: "table",
    pb.SAVED_KIND_REPORT: "report",
}
_NUMBERS = {name: number for number, name in _KINDS.items()}
_ID = re.compile(r"[A-Za-z0-9_-]{8,32}")


class SavedMethods:
    def __init__(self, store: ControlStore, lookup: Lookup) -> None:
        self._saved = SavedStore.beside(store)
        self._lookup = lookup

    async def ListSaved(self, principal: Principal, request: pb.ListSavedRequest) -> pb.ListSavedResponse:
        team, project = await self._lookup.team_project(principal, request.team, request.project)
        rows = await self._saved.find(
            principal, team=team, project=project, kind=_KINDS.get(request.kind, ""), deleted=request.deleted
        )
        return pb.ListSavedResponse(saved=[_message(row) for row in rows])

    async def GetSaved(self, principal: Principal, request: pb.GetSavedRequest) -> pb.Saved:
        team, project = await self._place(principal, request)
        return _message(await self._saved.get(principal, team=team, project=project, id=request.id))

    async def CreateSaved(self, principal: Principal, request: pb.CreateSavedRequest) -> pb.Saved:
        team, project = await self._lookup.team_project(principal, request.team, request.project)
        check_writable(principal, team)
        if request.kind not in _KINDS:
            raise InvalidRequestError("kind: choose SAVED_KIND_CHARTS, SAVED_KIND_TABLE or SAVED_KIND_REPORT")
        if request.id and not _ID.fullmatch(request.id):
            raise InvalidRequestError('id: 8 to 32 letters, digits, "_" and "-", or none')
        kind = _KINDS[request.kind]
        row = await self._saved.create(
            principal,
            team=team,
            project=project,
            kind=kind,
            name=_name(request.name),
            content=_content(kind, request.content),
            shared=request.shared,
            id=request.id,
        )
        return _message(row)

    async def UpdateSaved(self, principal: Principal, request: pb.UpdateSavedRequest) -> pb.Saved:
        team, project = await self._place(principal, request)
        check_writable(principal, team)
        if bool(request.version) == request.overwrite:
            raise InvalidRequestError("give the version that you read, or overwrite, not both")
        change: dict[str, object] = {}
        if request.HasField("name"):
            change["name"] = _name(request.name)
        if request.HasField("content"):
            row = await self._saved.get(principal, team=team, project=project, id=request.id)
            change["content"] = _content(row.kind, request.content)
        if request.HasField("shared"):
            change["shared"] = request.shared
        if not change:
            raise InvalidRequestError("nothing to change: give name, content or shared")
        version = None if request.overwrite else request.version
        return _message(
            await self._saved.update(
                principal, team=team, project=project, id=request.id, version=version, change=change
            )
        )

    async def DeleteSaved(self, principal: Principal, request: pb.DeleteSavedRequest) -> pb.DeleteSavedResponse:
        team, project = await self._place(principal, request)
        await self._saved.delete(principal, team=team, project=project, id=request.id)
        return pb.DeleteSavedResponse()

    async def RestoreSaved(self, principal: Principal, request: pb.RestoreSavedRequest) -> pb.Saved:
        team, project = await self._place(principal, request)
        return _message(await self._saved.restore(principal, team=team, project=project, id=request.id))

    async def _place(
        self,
        principal: Principal,
        request: pb.GetSavedRequest | pb.UpdateSavedRequest | pb.DeleteSavedRequest | pb.RestoreSavedRequest,
    ) -> tuple[str, str]:
        return await self._lookup.team_project(principal, request.team, request.project)


def _name(name: str) -> str:
    found = one_line("name", name, limits.MAX_LINE_CHARACTERS)
    if not found:
        raise InvalidRequestError(f"name: give one of 1 to {limits.MAX_LINE_CHARACTERS} characters")
    return found


def _content(kind: str, content: str) -> str:
    if kind == "report":
        return text("content", content, limits.MAX_REPORT_BYTES)
    found = text("content", content, limits.MAX_VIEW_BYTES)
    if any(ord(letter) <= 32 or letter in '"<>#' for letter in found) or found.startswith("?"):
        raise InvalidRequestError("content: of a view it is the query of its URL, encoded, without ? and #")
    return found


def _message(row: SavedRow) -> pb.Saved:
    return pb.Saved(
        team=row.team,
        project=row.project,
        id=row.id,
        kind=_NUMBERS[row.kind],
        name=row.name,
        content=row.content,
        shared=row.shared,
        owner=row.owner,
        version=row.version,
        created=timestamp(row.created_us),
        updated=timestamp(row.updated_us),
        updated_by=row.updated_by,
        deleted=timestamp(row.deleted_us),
    )
