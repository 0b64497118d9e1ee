"""Shows how the parameters of runs relate to their metrics."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstream_common.text import parsed
from runstream_control.principal import Principal
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.analysis import importance
from runstream_query.analysis.objectives import RankingObjective, values
from runstream_query.analysis.parameter_columns import ParameterColumn, make_column
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import page_size
from runstream_query.base.storage import Storage
from runstream_query.methods.ranking import names_of, narrowed
from runstream_query.runs.field_names import Kind
from runstream_query.runs.lookup import Lookup
from runstream_query.runs.run_query import parse_fields, select
from runstream_query.runs.selection import field_column as values_of
from runstream_query.runs.selection.ordering import parse_order

_MAX_AXES = 50
_MAX_LINES = 10_000
_AT_ONCE = 1
"""Forests that are computed at once: several requests must not take the cores from each other."""


class ExplanationMethods:
    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup
        self._forests = asyncio.Semaphore(_AT_ONCE)

    async def GetImportance(self, principal: Principal, request: pb.GetImportanceRequest) -> pb.GetImportanceResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        objective = RankingObjective.of(request.objective)
        if len(request.parameters) > importance.MAX_PARAMETERS:
            raise InvalidRequestError(f"parameters: at most {importance.MAX_PARAMETERS}, not {len(request.parameters)}")
        if not all(request.parameters):
            raise InvalidRequestError("parameters: a name is empty")
        among = await narrowed(self._storage, self._lookup, project, request, [objective])
        found = await values(self._storage, project, objective, among)
        finite = {run: value for run, value in found.items() if math.isfinite(value)}
        runs = _sample(sorted(finite), request.seed)
        if len(runs) < importance.MIN_RUNS:
            raise InvalidRequestError(
                f"{len(runs)} runs have a finite value of {objective.metric!r}: importance needs {importance.MIN_RUNS}"
            )
        keys = list(dict.fromkeys(key.removeprefix("config.") for key in request.parameters))
        columns = await self._config(project, runs, keys)
        varying = [column for column in columns if column.distinct + (not column.present.all()) > 1]
        target = np.array([finite[run] for run in runs])
        response = pb.GetImportanceResponse(runs=len(runs), left_out=len(found) - len(runs))
        response.constant.extend(column.name for column in columns if column not in varying)
        if varying:
            async with self._forests:
                ranked, score = await asyncio.to_thread(importance.explain, varying, target, request.seed)
            response.score = score
            for one in ranked:
                response.parameters.add(
                    key=one.column.name,
                    kind=one.column.kind,
                    importance=one.share,
                    importance_std=one.std,
                    pearson=one.pearson,
                    spearman=one.spearman,
                    runs=int(one.column.present.sum()),
                    distinct=one.column.distinct,
                )
        return response

    async def GetParallelCoordinates(
        self, principal: Principal, request: pb.GetParallelCoordinatesRequest
    ) -> pb.GetParallelCoordinatesResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        if not request.axes:
            raise InvalidRequestError("axes: name at least one field, such as config.lr")
        axes = parse_fields(request.axes, "axes", _MAX_AXES)
        order = parse_order(request.order)
        limit = page_size(request.limit, 1000, _MAX_LINES, "limit")
        wanted = [*axes, *(key.field for key in order)]
        selection = await select(
            self._storage,
            self._lookup,
            project,
            filter=request.filter,
            search=request.search,
            fields=wanted,
        )
        places = selection.ranked(order, limit)
        runs = selection.ids(places)
        names = await names_of(self._storage, project, runs)
        response = pb.GetParallelCoordinatesResponse(
            runs=runs, names=[names.get(run, run) for run in runs], total=len(selection.places)
        )
        for field in axes:
            values = _values(selection.table.column(field), places)
            column = make_column(str(field), values, field.kind is Kind.TIME)
            response.axes.append(_axis(column))
        return response

    async def _config(self, project: str, runs: Sequence[str], keys: Sequence[str]) -> list[ParameterColumn]:
        """Return the columns of these config keys, or of the most frequent ones where no key is given."""
        if not keys:
            rows = await self._storage.rows("frequent_config", project=project, limit=importance.MAX_PARAMETERS)
            keys = [row["key"] for row in rows]
        table: dict[str, dict[str, Any]] = {key: {} for key in keys}
        found = await self._storage.rows("config_values", project=project, runs=list(runs), keys=list(keys))
        for row in found:
            table[row["key"]][row["run"]] = parsed(row["text"])
        return [make_column(key, [of.get(run) for run in runs]) for key, of in table.items()]


def _sample(runs: list[str], seed: int) -> list[str]:
    """Return all runs, or a sorted sample of MAX_RUNS runs that is chosen by the seed."""
    if len(runs) <= importance.MAX_RUNS:
        return runs
    chosen = np.random.default_rng(seed).choice(len(runs), importance.MAX_RUNS, replace=False)
    return [runs[i] for i in sorted(chosen)]


def _values(column: values_of.FieldColumn, places: NDArray[np.int64]) -> list[Any]:
    """Return the values at these places, None where a value is missing."""
    numbers = zip(column.numeric[places].tolist(), column.numbers[places].tolist(), strict=True)
    return [
        number if numeric else None if text in ("", "null") else parsed(text)
        for (numeric, number), text in zip(numbers, column.texts_at(places), strict=True)
    ]


def _axis(column: ParameterColumn) -> pb.Axis:
    finite = column.values[np.isfinite(column.values)]
    axis = pb.Axis(field=column.name, kind=column.kind, categories=column.categories, values=column.values.tolist())
    if column.kind != pb.AXIS_KIND_CATEGORY and len(finite):
        axis.min, axis.max = float(finite.min()), float(finite.max())
    return axis
