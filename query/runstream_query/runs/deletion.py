"""Deletes runs, metrics and projects. The janitor deletes runs that are older than their project's retention.

The order makes a deletion complete. First the control database: no stream of the run is admitted any more. Then the
tombstones: no writer stores the run any more. Then the rows are deleted, and last the contents in object storage to
which nothing refers any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from runstream_common.clickhouse import tombstones
from runstream_common.clickhouse.client import StorageError
from runstream_common.clickhouse.interface import ClickHouseClient
from runstream_common.clickhouse.tombstones import Tombstone
from runstream_common.identity import full_project
from runstream_common.objects import MediaStore
from runstream_common.times import now_us
from runstream_control.control_store import ControlStore, DeletedRun
from runstream_control.errors import ControlError
from runstream_control.principal import Principal
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.storage import Storage

LOG = structlog.get_logger()
_AT_ONCE = 500
_DAY_US = 86_400_000_000
_LATE_US = 7 * _DAY_US


class Deletion:
    """Deletes runs, metrics and projects. All methods raise ControlError, StorageError.

    A deletion that failed half-way is completed by repeating it.
    """

    def __init__(self, client: ClickHouseClient, storage: Storage, store: ControlStore, media: MediaStore) -> None:
        self._client = client
        self._storage = storage
        self._store = store
        self.media = media

    async def runs(self, principal: Principal, team: str, project: str, runs: Sequence[str]) -> pb.DeleteResponse:
        dead = await self._store.delete_runs(principal, team=team, project=project, runs=runs)
        return await self._remove(team, project, dead, principal.user)

    async def project(self, principal: Principal, team: str, project: str) -> pb.DeleteResponse:
        dead = await self._store.delete_project(principal, team=team, project=project)
        return await self._remove(team, project, dead, principal.user)

    async def metric(self, principal: Principal, team: str, project: str, run: str, metric: str) -> pb.DeleteResponse:
        epoch = await self._store.last_epoch(principal, team=team, project=project, run=run)
        name = full_project(team, project)
        markers = [Tombstone(name, run, epoch, metric)]
        contents = await self._contents(name, [run])
        await tombstones.write(self._client, markers, principal.user)
        await tombstones.purge(self._client, markers)
        return pb.DeleteResponse(media=await self._drop_contents(name, contents))

    async def purge(self, team: str, project: str, runs: Sequence[tuple[str, int]]) -> None:
        """Remove rows of deleted runs that arrived after the deletion.

        `runs`: each run with its last deleted epoch.
        """
        name = full_project(team, project)
        await tombstones.purge(self._client, [Tombstone(name, run, epoch) for run, epoch in runs])

    async def expire(self) -> int:
        """Delete runs that have outlived the retention of their project; return their number."""
        count = 0
        for row in await self._store.projects_with_retention():
            before_us = now_us() - row.retention_days * _DAY_US
            name = full_project(row.team, row.project)
            found = await self._storage.rows("silent_runs", project=name, before_us=before_us, limit=10_000)
            dead = [DeletedRun(run["run"], run["epoch"]) for run in found]
            if dead:
                dead = await self._store.expire_runs(row.team, row.project, dead)
                await self._remove(row.team, row.project, dead, "retention")
                LOG.info("runs deleted by retention", project=name, runs=len(dead), days=row.retention_days)
                count += len(dead)
        return count

    async def purge_late(self) -> int:
        """Purge the rows that a writer stored after a deletion and did not check; return the number of runs."""
        found = await self._storage.rows("late_rows", since_us=now_us() - _LATE_US)
        markers = [Tombstone(row["project"], row["run"], row["epoch"]) for row in found]
        await tombstones.purge(self._client, markers)
        return len(markers)

    async def _remove(self, team: str, project: str, dead: Sequence[DeletedRun], user: str) -> pb.DeleteResponse:
        name = full_project(team, project)
        response = pb.DeleteResponse(runs=len(dead))
        for start in range(0, len(dead), _AT_ONCE):
            part = dead[start : start + _AT_ONCE]
            markers = [Tombstone(name, run.run, run.epoch) for run in part]
            await tombstones.write(self._client, markers, user)
            contents = await self._contents(name, [run.run for run in part])
            await tombstones.purge(self._client, markers)
            response.media += await self._drop_contents(name, contents)
        return response

    async def _contents(self, project: str, runs: Sequence[str], among: Sequence[str] = ()) -> set[str]:
        rows = await self._storage.rows("contents_of", project=project, runs=list(runs), contents=list(among))
        return {row["sha256"] for row in rows}

    async def _drop_contents(self, project: str, contents: set[str]) -> int:
        """Delete the contents to which nothing in the project refers any more; return their number."""
        dropped = 0
        names = sorted(contents)
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            unused = set(part) - await self._contents(project, [], part)
            await self.media.delete(project, sorted(unused))
            dropped += len(unused)
        return dropped


class Janitor:
    """Applies retention and purges late rows every `every_s` seconds."""

    def __init__(self, deletion: Deletion, every_s: float) -> None:
        self._deletion = deletion
        self._every_s = every_s

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self._deletion.expire()
                await self._deletion.purge_late()
            except (StorageError, ControlError) as error:
                LOG.warning("the janitor failed; it runs again later", reason=str(error))
