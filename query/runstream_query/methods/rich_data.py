"""Answers requests for histograms, tables and plots, and for the keys of data that is not scalar."""

from __future__ import annotations

from runstream_common.objects import MediaStore
from runstream_control.principal import Principal
from runstream_proto.v1 import rich_pb2 as pb
from runstream_query.base.errors import InvalidRequestError, UnknownNameError
from runstream_query.base.paging import make_token, page_size, read_token
from runstream_query.base.storage import Storage
from runstream_query.curves.request_checks import step_range
from runstream_query.rich import heatmap, plots
from runstream_query.rich.cells import Row
from runstream_query.rich.logged_tables import LoggedTable, LoggedTables, table_page
from runstream_query.rich.rich_keys import KIND_NAMES, KINDS, explain_no_key, key_rows, steps_of
from runstream_query.runs.lookup import Lookup

_MAX_PLOT_ROWS = 1_000_000
"""Rows of a table that are drawn as a plot; they are held in memory meanwhile, some 100 MB."""


class RichDataMethods:
    def __init__(self, storage: Storage, lookup: Lookup, media: MediaStore) -> None:
        self._storage = storage
        self._lookup = lookup
        self._tables = LoggedTables(storage, media)

    async def ListKeys(self, principal: Principal, request: pb.ListKeysRequest) -> pb.ListKeysResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        size = page_size(request.page_size, 1000, 10_000)
        after = read_token(request, (str, str)) or ["", ""]
        kinds = [KIND_NAMES[kind] for kind in request.kinds if kind in KIND_NAMES]
        if len(kinds) != len(request.kinds):
            raise InvalidRequestError(f"kinds: give any of {', '.join(KINDS)}, or none for all")
        rows = await key_rows(self._storage, project, request.run, kinds, request.search, after, size)
        if not rows and not request.page_token:
            await self._lookup.known_runs(project, [request.run])
        response = pb.ListKeysResponse()
        for row in rows:
            response.keys.add(
                name=row["key"],
                kind=KINDS[row["kind"]],
                first_step=row["first_step"],
                last_step=row["last_step"],
                count=row["stored"],
                ranks=row["ranks"],
                types=row["types"],
            )
        if len(rows) == size:
            response.next_page_token = make_token(request, [rows[-1]["key"], rows[-1]["kind"]])
        return response

    async def GetHistograms(self, principal: Principal, request: pb.GetHistogramsRequest) -> pb.GetHistogramsResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        if request.columns > heatmap.MAX_COLUMNS or request.bins > heatmap.MAX_BINS:
            raise InvalidRequestError(
                f"{request.columns} columns of {request.bins} bins: "
                f"at most {heatmap.MAX_COLUMNS} and {heatmap.MAX_BINS}"
            )
        low, high = step_range(request)
        response = await heatmap.heat_maps(
            self._storage,
            {
                "project": project,
                "run": request.run,
                "key": request.key,
                "ranks": list(request.ranks),
                "min_step": low,
                "max_step": high,
            },
            request.columns or 200,
            # Raw histograms are not rebinned, however many bins they have.
            1 << 31 if request.raw else request.bins or 64,
            each_rank=request.each_rank or request.raw,
            raw=request.raw,
        )
        if not response.histograms:
            await explain_no_key(self._storage, self._lookup, project, request.run, ["histogram"], request.key)
        return response

    async def GetTable(self, principal: Principal, request: pb.GetTableRequest) -> pb.GetTableResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        table = await self._table(project, request, ["table", "plot"])
        response = pb.GetTableResponse(step=table.step, rank=table.rank, plot_json=table.plot, time_us=table.time_us)
        await table_page(self._tables, table, request, response)
        if not request.page_token:
            response.steps.extend(await steps_of(self._storage, project, request.run, "table", request.key))
        return response

    async def GetPlot(self, principal: Principal, request: pb.GetPlotRequest) -> pb.GetPlotResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        table = await self._table(project, request, ["plot"])
        response = pb.GetPlotResponse(step=table.step, rank=table.rank, time_us=table.time_us)
        drawing = plots.begin(table.plot, table.columns, response)

        def take(rows: list[Row]) -> None:
            response.total_rows += len(rows)
            if response.total_rows > _MAX_PLOT_ROWS:
                raise InvalidRequestError(f"more than {_MAX_PLOT_ROWS} rows to draw: read them with GetTable")
            width = len(table.columns)
            drawing.take([(row + [None] * width)[:width] for row in rows])

        await self._tables.each(table, take)
        drawing.finish(response)
        response.steps.extend(await steps_of(self._storage, project, request.run, "table", request.key))
        return response

    async def _table(
        self, project: str, request: pb.GetTableRequest | pb.GetPlotRequest, kinds: list[str]
    ) -> LoggedTable:
        table = await self._tables.find(project, request)
        if table is not None:
            return table
        await explain_no_key(self._storage, self._lookup, project, request.run, kinds, request.key)
        steps = await steps_of(self._storage, project, request.run, "table", request.key)
        shown = ", ".join(map(str, steps[-5:]))
        raise UnknownNameError(f"{request.key[:100]!r} was not logged there; its newest steps are {shown}")
