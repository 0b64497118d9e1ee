"""Lists runs page by page, and counts runs by group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runstream_control.principal import Principal
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import make_token, page_size, read_token
from runstream_query.base.storage import Storage
from runstream_query.runs.documents import STATE_NAMES, make_run, to_value
from runstream_query.runs.encoded_documents import DocumentReader, EncodedDocuments, make_listed
from runstream_query.runs.field_choice import ALL, FieldChoice, parse_columns
from runstream_query.runs.field_names import Field, Kind
from runstream_query.runs.lookup import Lookup
from runstream_query.runs.run_query import parse_fields, select, value_of
from runstream_query.runs.selection.document_cache import DocumentCache
from runstream_query.runs.selection.field_column import FieldColumn
from runstream_query.runs.selection.listed_fields import ListedFields
from runstream_query.runs.selection.ordering import parse_order
from runstream_query.runs.selection.select import check_position

_MAX_GROUP_FIELDS = 4
_MAX_GROUP_METRICS = 20
_MAX_GROUPS = 1000


class ListingMethods:
    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup

    async def ListRuns(self, principal: Principal, request: pb.ListRunsRequest) -> pb.ListRunsResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        size = page_size(request.page_size, 50, 1000)
        order, columns = parse_order(request.order), parse_columns(request.fields)
        after = read_token(request, lambda position: check_position(position, len(order)))
        shown = ListedFields.of(columns, self._lookup.tables.size(project))
        selection = await select(
            self._storage,
            self._lookup,
            project,
            filter=request.filter,
            search=request.search,
            state=STATE_NAMES.get(request.state, ""),
            fields=[*(key.field for key in order), *(shown.fields if shown else ())],
            sources=shown.sources if shown else (),
        )
        # One more run than the page holds tells whether there is a next page.
        found = selection.page(order, after, size + 1).tolist()
        response = pb.ListRunsResponse(total=len(selection.places))
        rows = selection.table.rows(found[:size])
        if shown:
            loaded, carried = shown.load(selection.table, found[:size])
            rows = rows[:carried]
            response.runs.extend(make_run(project, row, loaded) for row in rows)
        else:
            documents = await self._documents(project, [str(row["run"]) for row in rows], columns)
            rows = rows[: len(documents)]
            response.runs.extend(await make_listed(project, rows, documents))
        if len(found) > len(rows):
            response.next_page_token = make_token(request, selection.position_of(found[len(rows) - 1], order))
        return response

    async def _documents(self, project: str, runs: Sequence[str], columns: FieldChoice) -> list[EncodedDocuments]:
        """Return the documents of the first of these runs: of as many as one answer carries."""
        reader = DocumentReader(self._storage, project, columns)
        if columns == ALL:
            return await self._lookup.tables.documents(project, runs, reader)
        return await DocumentCache().page(runs, reader)

    async def CountRuns(self, principal: Principal, request: pb.CountRunsRequest) -> pb.CountRunsResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        by = parse_fields(request.by, "by", _MAX_GROUP_FIELDS)
        if len(request.metrics) > _MAX_GROUP_METRICS:
            raise InvalidRequestError(f"metrics: at most {_MAX_GROUP_METRICS}, not {len(request.metrics)}")
        if len(set(by)) < len(by):
            raise InvalidRequestError("by: name each field once")
        if not all(request.metrics):
            raise InvalidRequestError("metrics: a name is empty")
        metrics = [Field(Kind.SUMMARY, metric) for metric in request.metrics]
        selection = await select(
            self._storage,
            self._lookup,
            project,
            filter=request.filter,
            search=request.search,
            fields=[*by, *metrics],
        )
        limit = page_size(request.limit, 100, _MAX_GROUPS, "limit")
        groups = selection.groups(by)
        response = pb.CountRunsResponse(total=len(selection.places), group_count=len(groups))
        for found in groups[:limit]:
            group = response.groups.add(runs=len(found.members))
            group.values.extend(to_value(value_of(*key)) for key in found.keys)
            for field in metrics:
                group.metrics.append(_statistics(field.key, selection.table.column(field), found.members))
        return response


def _statistics(metric: str, column: FieldColumn, members: NDArray[np.int64]) -> pb.MetricStatistics:
    values = column.numbers[members][column.numeric[members]]
    finite = values[np.isfinite(values)]
    statistics = pb.MetricStatistics(
        metric=metric, runs=len(finite), not_finite=len(values) - len(finite),
        mean=np.nan, std=np.nan, min=np.nan, max=np.nan,
    )  # fmt: skip
    if len(finite):
        statistics.mean, statistics.min, statistics.max = finite.mean(), finite.min(), finite.max()
        statistics.std = finite.std(ddof=1) if len(finite) > 1 else 0.0
    return statistics
