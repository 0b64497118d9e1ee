"""Report runs that began, ended, fell silent or were deleted, compared with their last known states."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from runstream_proto.v1 import live_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.runs.lookup import Lookup
from runstream_query.runs.run_states import RunRow

_ALL = 1_000_000
_NAMED_AT_ONCE = 5000


class StateChanges:
    """The states of the runs that are watched: of some, or of all of the project. All methods raise StorageError."""

    def __init__(self, storage: Storage, lookup: Lookup, project: str) -> None:
        self._storage = storage
        self._lookup = lookup
        self._project = project
        self._known: dict[str, tuple[str, int]] = {}
        """(state, world size) by run."""
        self._all = False

    async def watch(self, runs: Collection[str]) -> list[pb.RunChange]:
        """Watch these runs: report their changes from now on, and return their present states.

        If no run is named, all runs of the project are watched, and nothing is returned.
        """
        if runs:
            rows = await self._lookup.run_rows(self._project, runs=list(runs), limit=len(runs))
            for row in rows:
                self._known.setdefault(row["run"], _state(row))
            return await self._changes((pb.RunChange.KIND_SNAPSHOT, row) for row in rows)
        if not self._all:
            for row in await self._lookup.run_rows(self._project, limit=_ALL):
                self._known.setdefault(row["run"], _state(row))
            self._all = True
        return []

    async def changed(self, runs: Collection[str]) -> list[pb.RunChange]:
        """Return the changes of these runs, in which something arrived."""
        watched = [run for run in runs if self._all or run in self._known]
        if not watched:
            return []
        rows = await self._rows(watched)
        found: list[tuple[pb.RunChange.Kind.ValueType, RunRow]] = []
        for row in rows:
            before = self._known.get(row["run"])
            if before is None:
                found.append((pb.RunChange.KIND_NEW, row))
            elif before != _state(row):
                found.append((pb.RunChange.KIND_STATE, row))
        gone = sorted({run for run in watched if run in self._known} - {row["run"] for row in rows})
        changes = await self._changes(found)
        # Remember them only after they are reported: the storage may fail before.
        self._known.update({row["run"]: _state(row) for row in rows})
        for run in gone:
            self._known.pop(run, None)
        return [*changes, *(pb.RunChange(kind=pb.RunChange.KIND_GONE, run=run) for run in gone)]

    async def swept(self) -> list[pb.RunChange]:
        """Return the changes that no arrival announced."""
        return await self.changed(list(self._known))

    async def _rows(self, runs: list[str]) -> list[RunRow]:
        if len(runs) <= _NAMED_AT_ONCE:
            return await self._lookup.run_rows(self._project, runs=runs, limit=len(runs))
        wanted = set(runs)
        return [row for row in await self._lookup.run_rows(self._project, limit=_ALL) if row["run"] in wanted]

    async def _changes(self, found: Iterable[tuple[pb.RunChange.Kind.ValueType, RunRow]]) -> list[pb.RunChange]:
        changes = list(found)
        if not changes:
            return []
        runs = [row["run"] for _, row in changes]
        fields = await self._storage.rows("run_fields", project=self._project, runs=runs, sections=["run"])
        names = {field["run"]: _text(field["value"]) for field in fields if field["key"] == "name"}
        return [
            pb.RunChange(
                kind=kind,
                run=row["run"],
                state=row["state"],
                name=names.get(row["run"]) or row["run"],
                user=row["user"],
                world_size=row["world_size"],
                created_us=row["created_us"],
                heartbeat_us=row["seen_us"],
                finished_us=row["finished_us"] if row["state"] != "running" else 0,
            )
            for kind, row in changes
        ]


def _state(row: RunRow) -> tuple[str, int]:
    return row["state"], row["world_size"]


def _text(value: str) -> str:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, str) else ""
