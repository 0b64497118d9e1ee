"""Creates, changes, commands and lists sweeps."""

from __future__ import annotations

import asyncio
import json
import secrets
from types import SimpleNamespace
from typing import Any

from runstream_control.errors import PermissionDeniedError
from runstream_control.principal import Principal
from runstream_control.sweeps.model import State, StoredTrial, SweepRow
from runstream_control.sweeps.sweep_store import SweepStore
from runstream_proto.v1 import sweep_pb2 as pb
from runstream_query.base.errors import ConflictError, InvalidRequestError
from runstream_query.base.names import check
from runstream_query.base.paging import make_token, page_size, read_token
from runstream_query.runs.documents import timestamp
from runstream_query.runs.lookup import Lookup
from runstream_query.sweeps import definition as definitions
from runstream_query.sweeps.agent_coordinator import AgentCoordinator
from runstream_query.sweeps.definition import SweepDefinition
from runstream_query.sweeps.messages import STATE_NAMES, in_force, sweep_message
from runstream_query.sweeps.search.choice import check_feasible, notes
from runstream_query.sweeps.search.grid import Grid
from runstream_query.sweeps.search_space import as_json
from runstream_query.sweeps.sweep_cache import SweepCache
from runstream_query.sweeps.updating import changed_columns

_COMMANDS = {
    pb.SWEEP_COMMAND_PAUSE: (State.PAUSED, "paused"),
    pb.SWEEP_COMMAND_RESUME: (State.RUNNING, "resumed"),
    pb.SWEEP_COMMAND_STOP: (State.FINISHED, "stopped"),
    pb.SWEEP_COMMAND_CANCEL: (State.CANCELLED, "cancelled"),
}
_MAX_REQUEST_ID = 64


class SweepMethods:
    def __init__(self, store: SweepStore, lookup: Lookup, cache: SweepCache, agents: AgentCoordinator) -> None:
        self._store = store
        self._lookup = lookup
        self._cache = cache
        self._agents = agents

    async def CreateSweep(self, principal: Principal, request: pb.CreateSweepRequest) -> pb.Sweep:
        if not request.definition_json:
            raise InvalidRequestError("definition_json is empty: give the sweep's configuration as a JSON object")
        definition = await asyncio.to_thread(definitions.parse, request.definition_json)
        team = self._lookup.team(principal, request.team or definition.team)
        project = request.project or definition.project
        if not project:
            raise InvalidRequestError("project: name it in the call, or in the definition")
        check("project", project)
        if not principal.can_write(team):
            raise PermissionDeniedError(f"this API key may not write to the team {team!r}: use a key of a member")
        columns = await asyncio.to_thread(_columns, definition)
        if request.check_only:
            return sweep_message(_unmade(team, project, principal.user, columns), definition)
        request_id = check_request_id(request.request_id)
        row = await self._store.create(team, project, principal.user, request_id, columns)
        return await self._message(row)

    async def GetSweep(self, principal: Principal, request: pb.GetSweepRequest) -> pb.Sweep:
        return await self._message(await self._cache.row(principal, request.sweep))

    async def ListSweeps(self, principal: Principal, request: pb.ListSweepsRequest) -> pb.ListSweepsResponse:
        team, project = await self._lookup.team_project(principal, request.team, request.project)
        size = page_size(request.page_size, 50, 1000)
        place = read_token(request, (int, str))
        state = STATE_NAMES.get(request.state, "")
        rows = await self._store.sweeps_of(team, project, state, (place[0], place[1]) if place else None, size)
        response = pb.ListSweepsResponse(sweeps=[await self._message(row, whole=False) for row in rows])
        if len(rows) == size:
            response.next_page_token = make_token(request, [rows[-1].created_us, rows[-1].id])
        return response

    async def UpdateSweep(self, principal: Principal, request: pb.UpdateSweepRequest) -> pb.Sweep:
        row = await self._cache.row(principal, request.sweep, write=True)
        if row.state == State.CANCELLED:
            raise ConflictError("the sweep was cancelled: nothing of it can be changed any more")
        entry = await self._cache.entry(request.sweep)
        definition = entry.definition if entry is not None else definitions.parse(row.definition)
        changes = await asyncio.to_thread(changed_columns, request, in_force(row, definition))
        changed = await self._store.update(request.sweep, principal.user, changes)
        self._agents.wake(request.sweep)
        return await self._message(changed or row)

    async def CommandSweep(self, principal: Principal, request: pb.CommandSweepRequest) -> pb.Sweep:
        row = await self._cache.row(principal, request.sweep, write=True)
        if request.command not in _COMMANDS:
            raise InvalidRequestError("command is missing: pause, resume, stop or cancel")
        state, action = _COMMANDS[request.command]
        _check_command(row, state)
        changed = await self._store.command(request.sweep, principal.user, state, action, request.reason)
        self._agents.wake(request.sweep)
        return await self._message(changed or row)

    async def DeleteSweep(self, principal: Principal, request: pb.DeleteSweepRequest) -> pb.DeleteSweepResponse:
        await self._cache.row(principal, request.sweep, write=True)
        count = await self._store.delete(request.sweep)
        self._cache.forget(request.sweep)
        self._agents.wake(request.sweep)
        return pb.DeleteSweepResponse(trials=count)

    async def ListSweepChanges(
        self, principal: Principal, request: pb.ListSweepChangesRequest
    ) -> pb.ListSweepChangesResponse:
        await self._cache.row(principal, request.sweep)
        size = page_size(request.page_size, 100, 1000)
        place = read_token(request, (int,))
        rows = await self._store.changes_of(request.sweep, place[0] if place else None, size)
        response = pb.ListSweepChangesResponse()
        for row in rows:
            response.changes.add(time=timestamp(row.at_us), author=row.author, action=row.action, detail=row.detail)
        if len(rows) == size:
            response.next_page_token = make_token(request, [rows[-1].id])
        return response

    async def _message(self, row: SweepRow, *, whole: bool = True) -> pb.Sweep:
        entry = await self._cache.entry(row.id)
        definition = entry.definition if entry is not None else definitions.parse(row.definition)
        return sweep_message(row, definition, whole=whole)


def check_request_id(text: str) -> str:
    if len(text) > _MAX_REQUEST_ID:
        raise InvalidRequestError(f"request_id: at most {_MAX_REQUEST_ID} characters")
    return text


def _columns(definition: SweepDefinition) -> dict[str, Any]:
    """Return the columns of a new sweep. Raises DefinitionError where no parameters fulfil its constraints."""
    check_feasible(definition)
    size, is_limit = Grid(definition.space).size() if definition.method == "grid" else ("", False)
    return {
        "name": definition.name,
        "description": definition.description,
        "definition": as_json(definition.config),
        "method": definition.method,
        "notes": json.dumps(notes(definition)),
        "seed": definition.seed if definition.seed is not None else secrets.randbits(31),
        "size": str(size),
        "size_is_limit": is_limit,
        "run_cap": definition.run_cap,
        "max_parallel": definition.max_parallel,
        "retries": definition.retries,
        "wall_time_s": definition.budget.wall_time_s,
        "trial_time_s": definition.budget.trial_time_s,
        "cost_limit": definition.budget.cost,
    }


def _unmade(team: str, project: str, user: str, columns: dict[str, Any]) -> Any:
    """Return a row for a sweep that is only checked and not stored."""
    empty: dict[str, Any] = {state.value: 0 for state in StoredTrial}
    empty |= {"created_us": 0, "started_us": 0, "ended_us": 0, "cost": 0.0, "trial_seconds": 0.0, "early_off": False}
    named = {"id": "", "team": team, "project": project, "state": "running", "reason": "", "created_by": user}
    return SimpleNamespace(**empty, **named, **columns)


def _check_command(row: SweepRow, state: State) -> None:
    if row.state == State.CANCELLED and state is not State.CANCELLED:
        raise ConflictError("the sweep was cancelled, which is final: make another")
    if row.state == State.FINISHED and state is State.PAUSED:
        raise ConflictError(f"the sweep is finished ({row.reason}): there is nothing to pause")
