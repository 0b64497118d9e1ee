"""Exports stored data as files."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

from runstream_control.principal import Principal
from runstream_proto.v1 import export_pb2 as pb
from runstream_proto.v1 import query_pb2
from runstream_query.base.errors import InvalidRequestError, UnknownNameError
from runstream_query.base.names import unknown_metric
from runstream_query.base.storage import Storage
from runstream_query.curves.request_checks import step_range
from runstream_query.export import file_parts
from runstream_query.runs.lookup import Lookup

_EPOCH = "epoch_column"


class ListsRuns(Protocol):
    """Answers `ListRuns`; an export takes the runs that it returns."""

    async def ListRuns(
        self, principal: Principal, request: query_pb2.ListRunsRequest
    ) -> query_pb2.ListRunsResponse: ...


class ExportMethods:
    def __init__(self, storage: Storage, lookup: Lookup, runs: ListsRuns) -> None:
        self._storage = storage
        self._lookup = lookup
        self._runs = runs

    async def ExportPoints(
        self, principal: Principal, request: pb.ExportPointsRequest
    ) -> AsyncIterator[pb.ExportChunk]:
        kind = file_parts.file_format(request.format)
        low, high = step_range(request)
        file_parts.check_count("ranks", request.ranks, file_parts.MAX_RANKS)
        question = {**file_parts.metric_filter(request.metrics), "ranks": list(request.ranks)}
        question |= {"min_step": low, "max_step": high}
        project, runs = await self._what(principal, request)
        await self._check_metrics(project, runs, request.metrics)
        comments = {} if not request.with_epoch else {f"/*{_EPOCH}": "", f"{_EPOCH}*/": ""}
        async for chunk in self._export("export_points", kind, comments, project=project, runs=runs, **question):
            yield chunk

    async def ExportRows(self, principal: Principal, request: pb.ExportRowsRequest) -> AsyncIterator[pb.ExportChunk]:
        kind = file_parts.file_format(request.format)
        name = file_parts.table_name(request.table)
        project, runs = await self._what(principal, request)
        async for chunk in self._export(f"export_{name}", kind, {}, project=project, runs=runs):
            yield chunk

    async def CountRows(self, principal: Principal, request: pb.CountRowsRequest) -> pb.CountRowsResponse:
        file_parts.check_count("runs", request.runs, file_parts.MAX_RUNS)
        project = await self._lookup.project(principal, request.team, request.project)
        await self._check_runs(project, list(request.runs))
        rows = await self._storage.rows("count_rows", project=project, runs=list(request.runs))
        return pb.CountRowsResponse(runs=[pb.RunRows(**row) for row in rows])

    async def GetExtent(self, principal: Principal, request: pb.GetExtentRequest) -> pb.GetExtentResponse:
        question = file_parts.metric_filter(request.metrics)
        project = await self._lookup.project(principal, request.team, request.project)
        await self._lookup.known_runs(project, [request.run])
        await self._check_metrics(project, [request.run], request.metrics)
        rows = await self._storage.rows("rank_extents", project=project, run=request.run, **question)
        return pb.GetExtentResponse(ranks=[pb.RankExtent(**row) for row in rows])

    async def _what(self, principal: Principal, request: Any) -> tuple[str, list[str]]:
        """Return the project and the ids of the runs; no ids mean the whole project.

        Raises InvalidRequestError, UnknownNameError.
        """
        file_parts.check_count("runs", request.runs, file_parts.MAX_RUNS)
        if request.runs and request.filter:
            raise InvalidRequestError("runs and filter do not go together: name the runs, or filter them")
        project = await self._lookup.project(principal, request.team, request.project)
        runs = sorted(set(request.runs))
        if request.filter:
            runs = await self._filtered(principal, request)
        else:
            await self._check_runs(project, runs)
        return project, runs

    async def _filtered(self, principal: Principal, request: Any) -> list[str]:
        question = query_pb2.ListRunsRequest(
            team=request.team, project=request.project, filter=request.filter, fields=["none"], page_size=1000
        )
        runs: list[str] = []
        while True:
            page = await self._runs.ListRuns(principal, question)
            runs += [run.id for run in page.runs]
            file_parts.check_count("runs that the filter lets through", runs, file_parts.MAX_RUNS)
            if not page.next_page_token:
                break
            question.page_token = page.next_page_token
        if not runs:
            raise UnknownNameError("no run is let through by the filter")
        return sorted(runs)

    async def _check_runs(self, project: str, runs: list[str]) -> None:
        for start in range(0, len(runs), 1000):
            await self._lookup.known_runs(project, runs[start : start + 1000])

    async def _check_metrics(self, project: str, runs: list[str], metrics: Any) -> None:
        """Raise UnknownNameError where no run has a named metric.

        A pattern may match no metric: the file is empty then.
        """
        names = file_parts.metric_filter(metrics)["metrics"]
        if unknown := await unknown_metric(self._storage, project, runs, names):
            name, near = unknown
            raise UnknownNameError(f"there is no metric {name[:100]!r} in these runs of {project}{near}")

    async def _export(
        self, name: str, kind: file_parts.FileFormat, change: dict[str, str], **parameters: Any
    ) -> AsyncIterator[pb.ExportChunk]:
        """Yield the messages of an export.

        Memory holds one or two messages: the engine waits while the client does not read.
        """
        pieces = self._storage.stream(name, kind.engine, file_parts.SETTINGS, change, **parameters)
        async with contextlib.aclosing(pieces):  # type: ignore[type-var]  # an async generator
            async for chunk in file_parts.chunks(pieces):
                yield chunk
