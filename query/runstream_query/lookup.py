"""What every question begins with: the caller's project, its runs and metrics, and what is near those that are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runstream_common.control.store import ControlStore, Principal
from runstream_query.errors import UnknownNameError
from runstream_query.listening import Listening
from runstream_query.names import Names, nearest
from runstream_query.selection.tables import Tables
from runstream_query.states import with_state
from runstream_query.storage import Storage


class Lookup:
    """Shared by the topics. All methods raise QueryError, StorageError, ControlError."""

    def __init__(self, storage: Storage, store: ControlStore, crash_after_s: float, tables: Tables) -> None:
        """`crash_after_s`: a run of which nothing is heard for so long while the servers listen, and which did not
        finish, has crashed."""
        self.tables = tables
        self._storage = storage
        self._names = Names(store)
        self._listening = Listening(storage, int(crash_after_s * 1e6))

    def team(self, principal: Principal, team: str) -> str:
        """The team, filled in, when the caller may read it."""
        return self._names.team(principal, team)

    async def project(self, principal: Principal, team: str, project: str) -> str:
        """`team/project`, which exists and which the caller may read."""
        return await self._names.project(principal, team, project)

    async def team_project(self, principal: Principal, team: str, project: str) -> tuple[str, str]:
        """The same as two names."""
        name, _, rest = (await self._names.project(principal, team, project)).partition("/")
        return name, rest

    async def silent_us(self) -> int:
        """When a run that did not finish must have been heard of, microseconds since 1970."""
        return await self._listening.heard_since()

    async def run_rows(self, project: str, **question: Any) -> list[dict[str, Any]]:
        """Rows of `runs.sql`, see its parameters, with `state`."""
        silent_us = await self.silent_us()  # before the rows: what is read after is at least as new as the marks
        rows = await self._storage.rows("runs", project=project, **{"runs": [], **question})
        return with_state(rows, silent_us)

    async def known_runs(self, project: str, runs: Sequence[str]) -> list[dict[str, Any]]:
        """Rows of these runs. Raises UnknownNameError naming the first that is not there."""
        rows = await self.run_rows(project, runs=list(runs), limit=len(runs))
        known = {row["run"] for row in rows}
        for run in runs:
            if run not in known:
                others = await self.run_rows(project, limit=1000)
                raise UnknownNameError(
                    f"there is no run {run[:130]!r} in {project}{nearest(run, (row['run'] for row in others))}"
                )
        return rows

    async def explain_nothing(self, project: str, runs: Sequence[str], metrics: Sequence[str]) -> None:
        """Nothing was found: raise UnknownNameError where a name is unknown; an empty range is an empty answer."""
        await self.known_runs(project, runs)
        rows = await self._storage.rows(
            "last_values", project=project, runs=list(runs), search="", after="", limit=10_000
        )
        known = {row["metric"] for row in rows}
        for metric in metrics:
            if metric not in known:
                raise UnknownNameError(
                    f"there is no metric {metric[:100]!r} in {', '.join(runs[:3])}{nearest(metric, known)}"
                )
