"""Compares runs."""

from __future__ import annotations

import asyncio
from typing import Any

from runstream_control.principal import Principal
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.offload import offload
from runstream_query.base.storage import Storage
from runstream_query.runs.differences import differences, environment, git, git_diff, part
from runstream_query.runs.documents import load, make_run
from runstream_query.runs.lookup import Lookup

_MAX_RUNS = 20


class ComparisonMethods:
    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup

    async def CompareRuns(self, principal: Principal, request: pb.CompareRunsRequest) -> pb.CompareRunsResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        names = list(dict.fromkeys(request.runs))
        if not 2 <= len(names) <= _MAX_RUNS:
            raise InvalidRequestError(f"runs: give 2 to {_MAX_RUNS} different ones, not {len(names)}")
        rows = {row["run"]: row for row in await self._lookup.known_runs(project, names)}
        loaded = await load(self._storage, project, names, environment=True)
        runs = [await offload(loaded.is_large, make_run, project, rows[name], loaded) for name in names]
        surroundings = [loaded.fields[name]["environment"] for name in names]
        diffs = await asyncio.to_thread(
            lambda: [
                git_diff(name, surroundings[0], other)
                for name, other in zip(names[1:], surroundings[1:], strict=True)
            ]
        )  # fmt: skip
        metadata = [_metadata(run, rows[run.id]) for run in runs]

        def compared(documents: list[dict[str, Any]]) -> list[pb.Difference]:
            return differences(documents, request.all)

        return pb.CompareRunsResponse(
            runs=names,
            names=[run.name for run in runs],
            metadata=compared(metadata),
            config=compared([loaded.fields[name]["config"] for name in names]),
            summary=compared([loaded.summary(name) for name in names]),
            environment=compared([environment(document) for document in surroundings]),
            packages=compared([part(document, "packages") for document in surroundings]),
            variables=compared([part(document, "variables") for document in surroundings]),
            git=compared([git(document) for document in surroundings]),
            git_diffs=[diff for diff in diffs if diff is not None],
        )


def _metadata(run: pb.Run, row: dict[str, Any]) -> dict[str, Any]:
    found = {
        "name": run.name,
        "state": row["state"],
        "user": run.user,
        "hosts": row["hosts"],
        "group": run.group,
        "job_type": run.job_type,
        "tags": list(run.tags),
        "notes": run.notes,
        "sweep": run.sweep_id,
        "world_size": run.world_size,
        "created_at": run.created.ToJsonString(),
        "duration_s": run.duration_s,
    }
    return {key: value for key, value in found.items() if value not in ("", [])}
