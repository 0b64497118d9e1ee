"""Answers requests for media, files, texts, alerts and the console."""

from __future__ import annotations

from urllib.parse import quote

from runstream_common.limits import MAX_STEP
from runstream_control.principal import Principal
from runstream_proto.v1 import rich_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import make_token, page_size, read_token
from runstream_query.base.storage import Storage
from runstream_query.curves.request_checks import step_range
from runstream_query.rich.console import console_page
from runstream_query.rich.rich_keys import explain_no_key, steps_of
from runstream_query.runs.lookup import Lookup

_LEVELS = ("info", "warn", "error")
_MAX_TYPES = 20


class RecordMethods:
    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup

    async def ListMedia(self, principal: Principal, request: pb.ListMediaRequest) -> pb.ListMediaResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        size = page_size(request.page_size, 100, 1000)
        low, high = step_range(request)
        if len(request.types) > _MAX_TYPES:
            raise InvalidRequestError(f"{len(request.types)} types: at most {_MAX_TYPES}")
        newest = request.HasField("at_step")
        if newest:
            high = min(high, max(request.at_step, -MAX_STEP))
        key, step, rank, item = read_token(request, (str, int, int, int)) or ("", 0, -1, 0)
        rows = await self._storage.rows(
            "media_items",
            project=project,
            run=request.run,
            prefix=request.prefix,
            ranks=list(request.ranks),
            types=list(request.types),
            min_step=low,
            max_step=high,
            newest=int(newest),
            after_key=key,
            after_step=step,
            after_rank=rank,
            after_item=item,
            limit=size,
        )
        response = pb.ListMediaResponse()
        for row in rows:
            response.items.add(
                key=row["key"],
                step=row["step"],
                rank=row["rank"],
                index=row["item"],
                media_type=row["media_type"],
                sha256=row["content"],
                size_bytes=row["size_bytes"],
                caption=row["caption"],
                metadata_json=row["metadata"],
                path=_path(project, row["content"], row["media_type"]),
                time_us=row["time_us"],
            )
        if len(rows) == size:
            last = rows[-1]
            response.next_page_token = make_token(request, [last["key"], last["step"], last["rank"], last["item"]])
        if not request.page_token:
            response.steps.extend(
                await steps_of(
                    self._storage, project, request.run, "media", request.prefix, prefix=True, ranks=request.ranks
                )
            )
            if not response.steps:
                await self._lookup.known_runs(project, [request.run])
        return response

    async def ListFiles(self, principal: Principal, request: pb.ListFilesRequest) -> pb.ListFilesResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        size = page_size(request.page_size, 1000, 10_000)
        (after,) = read_token(request, (str,)) or ("",)
        rows = await self._storage.rows(
            "run_files",
            project=project,
            run=request.run,
            category=request.category,
            prefix=request.prefix,
            after=after,
            limit=size,
        )
        if not rows and not after:
            await self._lookup.known_runs(project, [request.run])
        response = pb.ListFilesResponse()
        for row in rows:
            response.files.add(
                name=row["path"],
                category=row["category"],
                rank=row["rank"],
                media_type=row["media_type"],
                sha256=row["content"],
                size_bytes=row["size_bytes"],
                path=_path(project, row["content"], row["media_type"]),
                time_us=row["time_us"],
            )
        if len(rows) == size:
            response.next_page_token = make_token(request, [rows[-1]["path"]])
        return response

    async def GetTexts(self, principal: Principal, request: pb.GetTextsRequest) -> pb.GetTextsResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        size = page_size(request.page_size, 100, 10_000)
        if not 1 <= len(request.keys) <= 100:
            raise InvalidRequestError(f"keys: give 1 to 100, not {len(request.keys)}")
        low, high = step_range(request)
        step, key, rank = read_token(request, (int, str, int)) or (0, "", -1)
        rows = await self._storage.rows(
            "texts_back" if request.newest_first else "texts",
            project=project,
            run=request.run,
            keys=list(request.keys),
            ranks=list(request.ranks),
            min_step=low,
            max_step=high,
            after_step=step,
            after_key=key,
            after_rank=rank,
            limit=size,
        )
        if not rows and not request.page_token:
            for name in request.keys:
                await explain_no_key(self._storage, self._lookup, project, request.run, ["text"], name)
        response = pb.GetTextsResponse()
        for row in rows:
            response.texts.add(
                key=row["key"], step=row["step"], rank=row["rank"], text=row["value"], time_us=row["time_us"]
            )
        if len(rows) == size:
            response.next_page_token = make_token(request, [rows[-1]["step"], rows[-1]["key"], rows[-1]["rank"]])
        return response

    async def ListAlerts(self, principal: Principal, request: pb.ListAlertsRequest) -> pb.ListAlertsResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        size = page_size(request.page_size, 100, 1000)
        if any(level not in _LEVELS for level in request.levels):
            raise InvalidRequestError(f"levels: give any of {', '.join(_LEVELS)}, or none for all")
        time_us, run, writer, number = read_token(request, (int, str, str, int)) or (-1, "", "", 0)
        rows = await self._storage.rows(
            "run_alerts",
            project=project,
            run=request.run,
            levels=list(request.levels),
            after_us=time_us,
            after_run=run,
            after_writer=writer,
            after_number=number,
            limit=size,
        )
        if not rows and request.run and not request.page_token:
            await self._lookup.known_runs(project, [request.run])
        response = pb.ListAlertsResponse()
        for row in rows:
            response.alerts.add(
                run=row["run"],
                rank=row["rank"],
                level=row["level"],
                title=row["title"],
                text=row["text"],
                time_us=row["time_us"],
                writer_id=row["writer"],
                number=row["number"],
            )
        if len(rows) == size:
            last = rows[-1]
            response.next_page_token = make_token(
                request, [last["time_us"], last["run"], last["writer"], last["number"]]
            )
        return response

    async def GetConsole(self, principal: Principal, request: pb.GetConsoleRequest) -> pb.GetConsoleResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        response = await console_page(self._storage, project, request)
        if not response.lines and not request.page_token:
            await self._lookup.known_runs(project, [request.run])
        return response


def _path(project: str, sha256: str, media_type: str) -> str:
    return f"/api/v1/media/{project}/{sha256}?type={quote(media_type, safe='')}"
