"""Look up the sweep of a call and check the caller's permissions; each sweep's definition is parsed once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from runstream_control.errors import PermissionDeniedError
from runstream_control.principal import Principal
from runstream_control.sweeps.ends import Goal
from runstream_control.sweeps.model import AgentRow, Search, SweepRow
from runstream_control.sweeps.sweep_store import SweepStore
from runstream_query.base.errors import UnknownNameError
from runstream_query.sweeps import definition as definitions
from runstream_query.sweeps.definition import SweepDefinition
from runstream_query.sweeps.group_commit import GroupCommit
from runstream_query.sweeps.search.choice import make_model, make_search
from runstream_query.sweeps.search.suggesting import BackgroundSuggester, Suggester

_ENTRIES = 512
"""Sweeps in the cache; others are read again."""
_AGENTS = 20_000


@dataclass(frozen=True)
class CachedSweep:
    """The facts of a sweep that never change."""

    sweep: str
    team: str
    project: str
    definition: SweepDefinition
    goals: tuple[Goal, ...]
    search: Search | None
    """The search of a method that learns nothing; None if there is a `suggester`."""
    suggester: Suggester | None

    @property
    def full_project(self) -> str:
        return f"{self.team}/{self.project}"


class SweepCache:
    """The sweeps and agents that calls are about.

    All methods raise UnknownNameError for a sweep that the caller cannot read, as for one that does not exist, and
    PermissionDeniedError if the caller may read but not write.
    """

    def __init__(self, store: SweepStore, background: BackgroundSuggester) -> None:
        self._store = store
        self._background = background
        self._entries: OrderedDict[str, CachedSweep] = OrderedDict()
        self._making: dict[str, asyncio.Task[CachedSweep | None]] = {}
        self._agents: OrderedDict[str, str] = OrderedDict()
        self._unknown: GroupCommit[str, AgentRow | None] = GroupCommit(self._read_agents)

    async def row(self, principal: Principal, sweep: str, *, write: bool = False) -> SweepRow:
        """Return the sweep as it is now."""
        row = await self._store.sweep(sweep)
        if row is None or not principal.can_read(row.team):
            raise unknown_sweep(sweep)
        if write:
            _check_writable(principal, row.team)
        return row

    async def entry(self, sweep: str) -> CachedSweep | None:
        """Return the entry of a sweep; None if there is no such sweep.

        Concurrent callers share one read of a sweep that is not in the cache.
        """
        found = self._entries.get(sweep)
        if found is not None:
            self._entries.move_to_end(sweep)
            return found
        if sweep not in self._making:
            self._making[sweep] = asyncio.create_task(self._read(sweep))
            self._making[sweep].add_done_callback(lambda _: self._making.pop(sweep, None))
        return await asyncio.shield(self._making[sweep])

    async def of_sweep(self, principal: Principal, sweep: str) -> CachedSweep:
        """Return the entry of the sweep, if the caller may write."""
        entry = await self.entry(sweep)
        if entry is None or not principal.can_read(entry.team):
            raise unknown_sweep(sweep)
        _check_writable(principal, entry.team)
        return entry

    async def of_agent(self, principal: Principal, agent: str) -> CachedSweep:
        """Return the entry of the sweep that an agent works on, if the caller may write."""
        sweep = self._agents.get(agent)
        if sweep is None:
            row = await self._unknown.submit(agent)
            if row is None:
                raise _unknown_agent(agent)
            sweep = self.remember(row)
        entry = await self.entry(sweep)
        if entry is None or not principal.can_read(entry.team):
            raise _unknown_agent(agent)
        _check_writable(principal, entry.team)
        return entry

    def remember(self, agent: AgentRow) -> str:
        """Remember the agent's sweep, and return it."""
        self._agents[agent.id] = agent.sweep
        while len(self._agents) > _AGENTS:
            self._agents.popitem(last=False)
        return str(agent.sweep)

    def forget(self, sweep: str) -> None:
        self._entries.pop(sweep, None)

    async def _read(self, sweep: str) -> CachedSweep | None:
        row = await self._store.sweep(sweep)
        if row is None:
            return None
        found = self._entries[sweep] = self._make(row)
        while len(self._entries) > _ENTRIES:
            self._entries.popitem(last=False)
        return found

    async def _read_agents(self, names: Sequence[str]) -> Sequence[AgentRow | None]:
        found = await self._store.agents_named(names)
        return [found.get(name) for name in names]

    def _make(self, row: SweepRow) -> CachedSweep:
        definition = definitions.parse(row.definition)
        search = make_search(definition, row.seed)
        suggester = None
        if search is None:
            model = make_model(definition, row.seed)
            suggester = Suggester(row.id, definition, model, self._store, self._background)
        goals = tuple(Goal(objective.maximize, objective.target) for objective in definition.objectives)
        return CachedSweep(row.id, row.team, row.project, definition, goals, search, suggester)


def unknown_sweep(sweep: str) -> UnknownNameError:
    return UnknownNameError(f"there is no sweep {sweep[:40]!r} that you can read: ListSweeps shows those of a project")


def _unknown_agent(agent: str) -> UnknownNameError:
    return UnknownNameError(f"there is no agent {agent[:40]!r}: register one (its sweep may be deleted)")


def _check_writable(principal: Principal, team: str) -> None:
    if not principal.can_write(team):
        raise PermissionDeniedError(
            f"this API key may read the sweeps of {team!r} but not change them: use the key of a member"
        )
