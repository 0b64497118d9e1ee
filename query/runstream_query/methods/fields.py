"""Lists the metrics and keys that exist."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from runstream_common.clickhouse.client import StorageRefusedError
from runstream_control.principal import Principal
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import make_token, page_size, read_token
from runstream_query.base.storage import Storage
from runstream_query.runs import metric_pages
from runstream_query.runs.documents import timestamp
from runstream_query.runs.field_choice import glob_regex
from runstream_query.runs.lookup import Lookup
from runstream_query.runs.run_query import refused
from runstream_query.runs.selection.filters import check_regex
from runstream_query.runs.selection.loading import FIELDS, SERIES

_MAX_RUNS = 1000
_KINDS = {"numbers": "number", "strings": "string", "booleans": "boolean", "lists": "list", "nulls": "null"}


class FieldMethods:
    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup

    async def ListMetrics(self, principal: Principal, request: pb.ListMetricsRequest) -> pb.ListMetricsResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        size = page_size(request.page_size, 1000, 10_000)
        runs = list(dict.fromkeys([*([request.run] if request.run else []), *request.runs]))
        if len(runs) > _MAX_RUNS:
            raise InvalidRequestError(f"runs: at most {_MAX_RUNS}, not {len(runs)}; none: all of the project")
        (after,) = read_token(request, (str,)) or ("",)
        rows = await self._metrics(project, runs, request, after, size)
        # One run with metrics exists; of several runs, each must be checked.
        if runs and not after and (len(runs) > 1 or not rows):
            await self._lookup.known_runs(project, runs)
        response = pb.ListMetricsResponse()
        for row in rows:
            metric = response.metrics.add(name=row["key"], runs=row["runs"], last_step=row["last_step"])
            if runs:
                metric.ranks, metric.last_value = row["ranks"], row["last_value"]
                metric.last_time.CopyFrom(timestamp(row["last_us"]) or Timestamp())
        if len(rows) == size:
            response.next_page_token = make_token(request, [rows[-1]["key"]])
        return response

    async def _metrics(
        self, project: str, runs: list[str], request: pb.ListMetricsRequest, after: str, size: int
    ) -> list[dict[str, Any]]:
        """Return one page of metrics.

        For all runs of a project the values would be read by the million, so only the names and the number of runs are
        read.
        """
        if not runs:
            return await self._ask("metric_fields", request, after, size, project=project)
        if len(runs) == 1 and size <= metric_pages.MAX_PAGE:
            asked = size * metric_pages.ROWS_A_NAME
            rows = await self._ask("metrics_of_run", request, after, asked, project=project, run=runs[0])
            if (found := metric_pages.page(rows, asked, size)) is not None:
                return found
        return await self._ask("metrics", request, after, size, project=project, runs=runs)

    async def ListFields(self, principal: Principal, request: pb.ListFieldsRequest) -> pb.ListFieldsResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        size = page_size(request.page_size, 1000, 10_000)
        section, after = read_token(request, (str, str)) or ("config", "")
        response = pb.ListFieldsResponse()
        if section == "config" and request.section != pb.FIELD_SECTION_SUMMARY:
            rows = await self._of_all(FIELDS, "config_fields", request, project, after, size, section="config")
            response.fields.extend(_field("config", row) for row in rows)
            if len(rows) == size:
                response.next_page_token = make_token(request, ["config", rows[-1]["key"]])
                return response
            after = ""
        if request.section == pb.FIELD_SECTION_CONFIG:
            return response
        left = size - len(response.fields)
        found = await self._summary(request, project, after, left)
        response.fields.extend(found)
        if len(found) == left:
            response.next_page_token = make_token(request, ["summary", found[-1].field.removeprefix("summary.")])
        return response

    async def _summary(self, request: Any, project: str, after: str, limit: int) -> list[pb.FieldInfo]:
        """Return metrics and keys that the user set in summaries, as one list sorted by name."""
        metrics, keys = await asyncio.gather(
            self._of_all(SERIES, "metric_fields", request, project, after, limit),
            self._of_all(FIELDS, "config_fields", request, project, after, limit, section="summary"),
        )
        known = {row["key"]: pb.FieldInfo(field=f"summary.{row['key']}", runs=row["runs"]) for row in metrics}
        for field in known.values():
            field.metric = True
            field.kinds.append("number")
        for row in keys:
            field = _field("summary", row)
            if row["key"] in known:
                known[row["key"]].runs = max(known[row["key"]].runs, field.runs)
                known[row["key"]].kinds[:] = [k for k in _KINDS.values() if k == "number" or k in field.kinds]
            else:
                known[row["key"]] = field
        names = sorted(known, key=str.encode)[:limit]
        return [known[name] for name in names]

    async def _of_all(
        self, table: str, name: str, request: Any, project: str, after: str, limit: int, **question: Any
    ) -> list[dict[str, Any]]:
        """Return what `_ask` does, for all runs of a project.

        This reads millions of keys, so the answer is kept while the data stays the same.
        """
        asked = (name, request.search, request.regex, request.glob, after, limit, *question.values())
        read = partial(self._ask, name, request, after, limit, project=project, **question)
        return await self._lookup.tables.answer(project, table, asked, read)

    async def _ask(self, name: str, request: Any, after: str, limit: int, **question: Any) -> list[dict[str, Any]]:
        """Return the rows of an SQL file that takes search, pattern, after and limit."""
        if request.regex and request.glob:
            raise InvalidRequestError("give regex or glob, not both")
        pattern = glob_regex(check_regex(request.glob)) if request.glob else check_regex(request.regex)
        try:
            return await self._storage.rows(
                name, search=request.search, pattern=pattern, after=after, limit=limit, **question
            )
        except StorageRefusedError as error:
            raise refused(error) from error


def _field(section: str, row: dict[str, Any]) -> pb.FieldInfo:
    field = pb.FieldInfo(field=f"{section}.{row['key']}", runs=row["runs"])
    field.kinds.extend(kind for column, kind in _KINDS.items() if row[column])
    if row["numbers"] and section == "config" and row["low"] is not None:
        field.min, field.max = row["low"], row["high"]
    return field
