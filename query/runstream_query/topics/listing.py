"""Many runs: pages of them, and how many there are in each group."""

from __future__ import annotations

import asyncio
from typing import Any

from runstream_common.control.store import Principal
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.documents import STATE_NAMES, load, make_run, to_value
from runstream_query.errors import InvalidQuestionError
from runstream_query.lookup import Lookup
from runstream_query.paging import make_token, page_size, read_token
from runstream_query.selection.columns import parse_columns
from runstream_query.selection.fields import Field, Kind
from runstream_query.selection.ordering import parse_order
from runstream_query.selection.reading import ask, group_values, parse_fields, select
from runstream_query.selection.select import check_place, place_of
from runstream_query.storage import Storage

_MAX_GROUP_FIELDS = 4
_MAX_GROUP_METRICS = 20
_MAX_GROUPS = 1000


class Listing:
    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup

    async def ListRuns(self, principal: Principal, request: pb.ListRunsRequest) -> pb.ListRunsResponse:  # noqa: N802
        project = await self._lookup.project(principal, request.team, request.project)
        size = page_size(request.page_size, 50, 1000)
        order, columns = parse_order(request.order), parse_columns(request.fields)
        after = read_token(request, lambda place: check_place(place, len(order)))
        selection = await select(
            self._storage,
            project,
            self._lookup.silent_us(),
            filter=request.filter,
            search=request.search,
            state=STATE_NAMES.get(request.state, ""),
            fields=[key.field for key in order],
        )
        # One more than the page: whether there is a next one.
        found = await ask(self._storage, selection.page(order, after, size + 1), selection)
        runs = [row["run"] for row in found[:size]]
        response = pb.ListRunsResponse(total=found[0]["total"] if found else 0)
        if runs:
            rows, loaded = await asyncio.gather(
                self._lookup.run_rows(project, runs=runs, limit=len(runs)),
                load(self._storage, project, runs, columns=columns),
            )
            by_run = {row["run"]: row for row in rows}
            # A run that was deleted between the two questions is left out.
            response.runs.extend(make_run(project, by_run[run], loaded) for run in runs if run in by_run)
        if len(found) > size:
            response.next_page_token = make_token(request, place_of(found[size - 1], len(order)))
        return response

    async def CountRuns(self, principal: Principal, request: pb.CountRunsRequest) -> pb.CountRunsResponse:  # noqa: N802
        project = await self._lookup.project(principal, request.team, request.project)
        by = parse_fields(request.by, "by", _MAX_GROUP_FIELDS)
        if len(request.metrics) > _MAX_GROUP_METRICS:
            raise InvalidQuestionError(f"metrics: at most {_MAX_GROUP_METRICS}, not {len(request.metrics)}")
        if len(set(by)) < len(by):
            raise InvalidQuestionError("by: name each field once")
        if not all(request.metrics):
            raise InvalidQuestionError("metrics: a name is empty")
        metrics = [Field(Kind.SUMMARY, metric) for metric in request.metrics]
        selection = await select(
            self._storage,
            project,
            self._lookup.silent_us(),
            filter=request.filter,
            search=request.search,
            fields=[*by, *metrics],
        )
        limit = page_size(request.limit, 100, _MAX_GROUPS, "limit")
        rows = await ask(self._storage, selection.groups(by, metrics, limit), selection)
        response = pb.CountRunsResponse()
        for row in rows:
            if not row["runs"]:
                continue  # without `by` there is a group, be it empty
            response.total, response.group_count = row["total"], row["group_count"]
            group = response.groups.add(runs=row["runs"])
            group.values.extend(to_value(value) for value in group_values(row, len(by)))
            for index, metric in enumerate(request.metrics):
                group.metrics.append(_statistics(metric, row, f"m{index}_"))
        return response


def _statistics(metric: str, row: dict[str, Any], prefix: str) -> pb.MetricStatistics:
    runs = row[f"{prefix}runs"]
    statistics = pb.MetricStatistics(metric=metric, runs=runs, not_finite=row[f"{prefix}odd"])
    for name in ("mean", "std", "min", "max"):
        value = row[prefix + name]
        absent = 0.0 if name == "std" and runs == 1 else float("nan")
        setattr(statistics, name, absent if value is None or runs == 0 or (name == "std" and runs == 1) else value)
    return statistics
