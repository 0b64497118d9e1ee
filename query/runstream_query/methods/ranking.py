"""Finds the best runs by one objective or by several."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from runstream_control.principal import Principal
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.analysis import pareto
from runstream_query.analysis.objectives import RankingObjective, RunsToRank, best, values
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import page_size
from runstream_query.base.storage import Storage
from runstream_query.runs.documents import make_runs
from runstream_query.runs.field_choice import parse_columns
from runstream_query.runs.lookup import Lookup
from runstream_query.runs.run_query import select

_MAX_OBJECTIVES = 8
_MAX_LAYERS = 20
_MAX_FRONT = 10_000
"""Runs of the front in one answer."""

_Narrowing = pb.RankRunsRequest | pb.GetParetoFrontRequest | pb.GetImportanceRequest


class RankingMethods:
    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup

    async def RankRuns(self, principal: Principal, request: pb.RankRunsRequest) -> pb.RankRunsResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        limit, columns = page_size(request.limit, 10, 1000, "limit"), parse_columns(request.fields)
        objective = RankingObjective(
            request.metric, request.aggregate, request.ascending, request.at, request.at_goal != pb.GOAL_MAXIMIZE
        ).checked()
        among = await narrowed(self._storage, self._lookup, project, request, [objective])
        found = await best(self._storage, project, objective, among, limit)
        values = {row.run: row for row in found}
        response = pb.RankRunsResponse()
        rows = among.selection.table.rows([row.place for row in found])
        runs = await make_runs(self._storage, project, rows, columns=columns)
        for place, run in enumerate(runs, start=1):
            response.runs.add(place=place, value=values[run.id].value, run=run, at_step=values[run.id].at_step)
        return response

    async def GetParetoFront(
        self, principal: Principal, request: pb.GetParetoFrontRequest
    ) -> pb.GetParetoFrontResponse:
        project = await self._lookup.project(principal, request.team, request.project)
        if not 2 <= len(request.objectives) <= _MAX_OBJECTIVES:
            raise InvalidRequestError(f"objectives: give 2 to {_MAX_OBJECTIVES}, not {len(request.objectives)}")
        if request.layers > _MAX_LAYERS:
            raise InvalidRequestError(f"layers is {request.layers}: at most {_MAX_LAYERS}")
        objectives = [RankingObjective.of(one) for one in request.objectives]
        among = await narrowed(self._storage, self._lookup, project, request, objectives)
        found = await asyncio.gather(*(values(self._storage, project, objective, among) for objective in objectives))
        every = sorted(set().union(*found))
        table = np.array([[of.get(run, np.nan) for of in found] for run in every]).reshape(-1, len(objectives))
        whole = ~np.isnan(table).any(axis=1)
        most = pareto.MAX_POINTS_OF_TWO if len(objectives) == 2 else pareto.MAX_POINTS
        if whole.sum() > most:
            raise InvalidRequestError(f"{whole.sum()} runs have all objectives: at most {most}; narrow with a filter")
        runs = [run for run, kept in zip(every, whole, strict=True) if kept]
        table = table[whole]
        costs = table * np.array([1.0 if objective.minimize else -1.0 for objective in objectives])
        layers = await asyncio.to_thread(pareto.layers, costs, request.layers or 1)
        order = sorted(np.flatnonzero(layers), key=lambda i: (layers[i], costs[i, 0], runs[i]))
        response = pb.GetParetoFrontResponse(compared=len(runs), left_out=len(every) - len(runs), found=len(order))
        order = order[:_MAX_FRONT]
        names = await names_of(self._storage, project, [runs[i] for i in order])
        for i in order:
            response.runs.add(
                run=runs[i], name=names.get(runs[i], runs[i]), layer=int(layers[i]), values=table[i].tolist()
            )
        return response


async def narrowed(
    storage: Storage,
    lookup: Lookup,
    project: str,
    request: _Narrowing,
    objectives: Sequence[RankingObjective],
) -> RunsToRank:
    """Return the runs of a request with `filter` and `sweep_id`, with the columns that the objectives need."""
    sources = [source for objective in objectives for source in objective.sources]
    selection = await select(
        storage, lookup, project, filter=request.filter, sweep=request.sweep_id, sources=list(dict.fromkeys(sources))
    )
    return RunsToRank(selection, all=not request.filter.strip() and not request.sweep_id)


async def names_of(storage: Storage, project: str, runs: list[str]) -> dict[str, str]:
    """Return the display names of runs, by run; runs without one are left out."""
    rows = await storage.rows("run_names", project=project, runs=runs) if runs else []
    return {row["run"]: row["name"] for row in rows}
