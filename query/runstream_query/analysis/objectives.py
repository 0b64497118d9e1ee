"""Computes one number for each run, by which runs are ranked.

The number is the last value, minimum, maximum or mean of a metric, or its value at the step at which another metric is
best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.errors import InvalidRequestError, UnknownNameError
from runstream_query.base.names import unknown_metric
from runstream_query.base.storage import Storage
from runstream_query.runs.selection.field_column import places_of
from runstream_query.runs.selection.loading import SERIES, Source
from runstream_query.runs.selection.select import RunSelection

_AGGREGATES = {pb.AGGREGATE_MIN: "min", pb.AGGREGATE_MAX: "max", pb.AGGREGATE_MEAN: "mean"}
_AMONG = "/* among */"
_MAX_NAMED_RUNS = 1000
"""Runs whose ids are sent to the engine; with more runs, rows of other runs are dropped in this process."""
MAX_RUNS = 200_000
"""Runs whose values are read into this process: enough for two sweeps of a hundred thousand trials each."""


@dataclass(frozen=True, slots=True)
class RunsToRank:
    """The runs to compare. `all`: True when no filter narrows them."""

    selection: RunSelection
    all: bool = False


@dataclass(frozen=True, slots=True)
class RankingObjective:
    metric: str
    aggregate: pb.Aggregate.ValueType = pb.AGGREGATE_LAST
    minimize: bool = True
    at: str = ""
    at_minimize: bool = True

    @classmethod
    def of(cls, objective: pb.RunObjective) -> RankingObjective:
        """Return the objective of a request. Raises InvalidRequestError."""
        return cls(
            objective.metric,
            objective.aggregate,
            objective.goal != pb.GOAL_MAXIMIZE,
            objective.at,
            objective.at_goal != pb.GOAL_MAXIMIZE,
        ).checked()

    def checked(self) -> RankingObjective:
        if not self.metric:
            raise InvalidRequestError("metric is empty: name the metric to rank by")
        if self.at and self.aggregate not in (pb.AGGREGATE_UNSPECIFIED, pb.AGGREGATE_LAST):
            raise InvalidRequestError("give an aggregate, or the metric that chooses the step (at), not both")
        return self

    @property
    def is_last(self) -> bool:
        """True when the last values are requested."""
        return not self.at and self.aggregate not in _AGGREGATES

    @property
    def sources(self) -> list[Source]:
        """The columns that the table of runs must have for this objective."""
        return [Source(SERIES, self.metric)] if self.is_last else []

    @property
    def query(self) -> tuple[str, dict[str, Any]]:
        """The SQL file and its parameters, where the points must be read."""
        if self.at:
            return "value_at", {"metric": self.metric, "selector": self.at, "minimize": int(self.at_minimize)}
        return "value_all", {"metric": self.metric, "aggregate": _AGGREGATES[self.aggregate]}


@dataclass(frozen=True, slots=True)
class RankedRun:
    """A run and its number. `place`: the row of the run in the selection's table."""

    run: str
    value: float
    place: int
    at_step: int | None


@dataclass(frozen=True, slots=True)
class _RunValues:
    """The numbers of M runs. `places`: rows of the selection's table, rising. `at_steps`: the steps of the numbers."""

    places: NDArray[np.int64]
    values: NDArray[np.float64]
    at_steps: NDArray[np.int64] | None


async def best(
    storage: Storage, project: str, objective: RankingObjective, among: RunsToRank, limit: int
) -> list[RankedRun]:
    """Return the best runs: best first, NaN last, ties by run id. Raises UnknownNameError when there is none."""
    found = await _read_values(storage, project, objective, among)
    is_nan = np.isnan(found.values)
    costs = np.where(is_nan, 0.0, found.values if objective.minimize else -found.values)
    near = np.arange(len(costs))
    if limit < len(costs) - int(is_nan.sum()):  # the first few of many are found without a full sort
        near = np.flatnonzero(~is_nan & (costs <= np.partition(np.where(is_nan, np.inf, costs), limit)[limit]))
    chosen = near[np.lexsort((costs[near], is_nan[near]))][:limit]
    runs = among.selection.ids(found.places[chosen])
    steps = [None] * len(runs) if found.at_steps is None else found.at_steps[chosen].tolist()
    numbers = zip(runs, found.values[chosen].tolist(), found.places[chosen].tolist(), steps, strict=True)
    return [RankedRun(*one) for one in numbers]


async def values(storage: Storage, project: str, objective: RankingObjective, among: RunsToRank) -> dict[str, float]:
    """Return the value of each run, of at most MAX_RUNS runs. Raises InvalidRequestError for more."""
    found = await _read_values(storage, project, objective, among)
    if len(found.values) > MAX_RUNS:
        raise InvalidRequestError(f"more than {MAX_RUNS} runs: narrow them with a filter")
    return dict(zip(among.selection.ids(found.places), found.values.tolist(), strict=True))


async def _read_values(storage: Storage, project: str, objective: RankingObjective, among: RunsToRank) -> _RunValues:
    selection = among.selection
    if objective.is_last:
        column = selection.table.source(objective.sources[0])
        places = selection.places[column.numeric[selection.places]]
        found = _RunValues(places, column.numbers[places], None)
    else:
        found = await _from_points(storage, project, objective, among)
    if not len(found.places):
        await raise_for_unknown_metric(storage, project, objective, among)
    return found


async def _from_points(storage: Storage, project: str, objective: RankingObjective, among: RunsToRank) -> _RunValues:
    selection = among.selection
    name, parameters = objective.query
    change = {}
    if not among.all and len(selection.places) <= _MAX_NAMED_RUNS:
        change, parameters["among"] = {_AMONG: "AND run IN {among:Array(String)}"}, selection.runs
    rows = await storage.table(name, change=change, project=project, **parameters)
    places = places_of(rows["run"].cast(pa.string()), selection.table.runs)
    wanted = np.flatnonzero(np.isin(places, selection.places))
    wanted = wanted[np.argsort(places[wanted])]
    steps = rows["at_step"].to_numpy()[wanted].astype(np.int64) if objective.at else None
    return _RunValues(places[wanted], rows["value"].to_numpy()[wanted], steps)


async def raise_for_unknown_metric(
    storage: Storage, project: str, objective: RankingObjective, among: RunsToRank
) -> None:
    """Raise UnknownNameError where no run has the metric.

    With a filter it returns when the project has the metric at all: then an empty result is correct.
    """
    named = [metric for metric in (objective.at, objective.metric) if metric]
    if unknown := await unknown_metric(storage, project, [], named):
        name, near = unknown
        raise UnknownNameError(f"no run of {project} has the metric {name[:100]!r}{near}")
    if among.all:
        raise UnknownNameError(f"no run of {project} has the metric {objective.metric[:100]!r}")
