"""Checks the names in a request: the caller's project, its runs and metrics. Errors suggest similar names."""

from __future__ import annotations

from collections.abc import Sequence

from runstream_control.control_store import ControlStore
from runstream_control.principal import Principal
from runstream_query.base.errors import UnknownNameError
from runstream_query.base.names import Names, nearest, unknown_metric
from runstream_query.base.storage import Storage
from runstream_query.runs.run_states import RunRow, with_state
from runstream_query.runs.selection.run_tables import RunTables
from runstream_query.runs.writer_marks import WriterMarks


class Lookup:
    """Looks up names for all methods. All methods raise QueryError, StorageError, ControlError."""

    def __init__(self, storage: Storage, store: ControlStore, crash_after_s: float, tables: RunTables) -> None:
        """Create the lookup.

        `crash_after_s`: a run that did not finish, and from which nothing was heard for so many seconds while the
        server listened, counts as crashed.
        """
        self.tables = tables
        self._storage = storage
        self._names = Names(store)
        self._listening = WriterMarks(storage, int(crash_after_s * 1e6))

    def team(self, principal: Principal, team: str) -> str:
        """Return the team, or the caller's default team for an empty name. The caller may read it."""
        return self._names.team(principal, team)

    async def project(self, principal: Principal, team: str, project: str) -> str:
        """Return `team/project`. The project exists and the caller may read it."""
        return await self._names.project(principal, team, project)

    async def team_project(self, principal: Principal, team: str, project: str) -> tuple[str, str]:
        """Return what `project` returns as two names, team and project."""
        name, _, rest = (await self._names.project(principal, team, project)).partition("/")
        return name, rest

    async def silent_us(self) -> int:
        """Return the time, microseconds since 1970, since which a run that did not finish must have been heard from."""
        return await self._listening.heard_since()

    async def run_rows(self, project: str, *, runs: Sequence[str] = (), limit: int) -> list[RunRow]:
        """Return rows of `runs.sql`, newest first, at most `limit`. `runs`: none means all of the project."""
        silent_us = await self.silent_us()  # read before the rows, which are then at least as new as the marks
        rows = await self._storage.rows("runs", project=project, runs=list(runs), limit=limit)
        return with_state(rows, silent_us)

    async def known_runs(self, project: str, runs: Sequence[str]) -> list[RunRow]:
        """Return the rows of these runs. Raises UnknownNameError, which names the first run that does not exist."""
        rows = await self.run_rows(project, runs=list(runs), limit=len(runs))
        known = {row["run"] for row in rows}
        for run in runs:
            if run not in known:
                others = await self.run_rows(project, limit=1000)
                raise UnknownNameError(
                    f"there is no run {run[:130]!r} in {project}{nearest(run, (row['run'] for row in others))}"
                )
        return rows

    async def raise_for_unknown_names(self, project: str, runs: Sequence[str], metrics: Sequence[str]) -> None:
        """Raise UnknownNameError where a run or metric is unknown. Call it after an empty result.

        It returns where all names are known: then the range of the request is empty, which is no error.
        """
        await self.known_runs(project, runs)
        if unknown := await unknown_metric(self._storage, project, runs, metrics):
            name, near = unknown
            raise UnknownNameError(f"there is no metric {name[:100]!r} in {', '.join(runs[:3])}{near}")
