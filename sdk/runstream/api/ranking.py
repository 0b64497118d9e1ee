"""The best runs, Pareto fronts, and the importance of parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from runstream.api.convert import split_path
from runstream.api.runs import StoredRun
from runstream.errors import IncompleteResultError, InvalidRequestError

if TYPE_CHECKING:
    from runstream.api.connection import Connection
    from runstream_proto.v1 import query_pb2 as pb

_AGGREGATES = {"last": 1, "min": 2, "max": 3, "mean": 4}
_GOALS = {"minimize": 1, "maximize": 2}
Filter = Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Objective:
    """One number for each run: its last value of `metric`, or the metric's min, max or mean (`by`).

    With `at` it is the metric's value at the step where the metric `at` is lowest (`at_goal="minimize"`) or highest.
    """

    metric: str
    goal: str = "minimize"
    by: str = "last"
    at: str = ""
    at_goal: str = "minimize"


@dataclass(frozen=True, slots=True)
class ParetoRun:
    id: str
    name: str
    layer: int
    """1 for a run that no other run beats in all objectives."""
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """How much a config key matters: `importance` is its share, 0 to 1.

    Correlations are None where the key is no number.
    """

    key: str
    kind: str
    """number, log or category"""
    importance: float
    importance_std: float
    pearson: float | None
    spearman: float | None


@dataclass(frozen=True, slots=True)
class Importance:
    parameters: list[Parameter]
    """The parameters, the most important first."""
    score: float
    """R squared of a random forest for runs that it has not seen: near 0, the importances say little."""
    runs: int


class ParetoOptions(TypedDict, total=False):
    """The options of `Api.pareto`."""

    layers: int
    filters: Filter
    sweep: str


class ImportanceOptionsOfSweep(TypedDict, total=False):
    """The options of `Sweep.importance`."""

    parameters: Sequence[str]
    seed: int
    filters: Filter


class ImportanceOptions(ImportanceOptionsOfSweep, total=False):
    """The options of `Api.importance`."""

    sweep: str


def rank(
    api: Connection,
    path: str,
    objective: Objective,
    k: int = 10,
    filters: Filter = None,
    sweep: str = "",
) -> list[tuple[float, StoredRun]]:
    """See `Api.rank`."""
    from runstream_proto.v1 import query_pb2 as pb

    team, project = split_path(path, 2)
    wanted = _objective(objective)
    request = pb.RankRunsRequest(
        team=team,
        project=project,
        metric=wanted.metric,
        aggregate=wanted.aggregate,
        ascending=wanted.goal == pb.GOAL_MINIMIZE,
        limit=k,
        sweep_id=sweep,
        filter=filter_text(filters),
        at=wanted.at,
        at_goal=wanted.at_goal,
    )
    return [(found.value, StoredRun(api, found.run)) for found in api.ask("RankRuns", request).runs]


def pareto(
    api: Connection,
    path: str,
    objectives: Sequence[Objective | str],
    layers: int = 1,
    filters: Filter = None,
    sweep: str = "",
) -> list[ParetoRun]:
    """See `Api.pareto`."""
    from runstream_proto.v1 import query_pb2 as pb

    team, project = split_path(path, 2)
    request = pb.GetParetoFrontRequest(
        team=team,
        project=project,
        filter=filter_text(filters),
        sweep_id=sweep,
        objectives=[_objective(one) for one in objectives],
        layers=layers,
    )
    found = api.ask("GetParetoFront", request)
    if found.found > len(found.runs):
        raise IncompleteResultError(
            f"{found.found:,} runs are on these layers, and one answer holds {len(found.runs):,}: narrow them with "
            "filters, or ask for fewer layers"
        )
    return [ParetoRun(run.run, run.name, run.layer, tuple(run.values)) for run in found.runs]


def importance(
    api: Connection,
    path: str,
    objective: Objective | str,
    parameters: Sequence[str] = (),
    seed: int = 0,
    filters: Filter = None,
    sweep: str = "",
) -> Importance:
    """See `Api.importance`."""
    from runstream_proto.v1 import query_pb2 as pb

    team, project = split_path(path, 2)
    request = pb.GetImportanceRequest(
        team=team,
        project=project,
        filter=filter_text(filters),
        sweep_id=sweep,
        objective=_objective(objective),
        parameters=parameters,
        seed=seed,
    )
    found = api.ask("GetImportance", request)
    listed = [
        Parameter(
            one.key,
            pb.AxisKind.Name(one.kind).removeprefix("AXIS_KIND_").lower(),
            one.importance,
            one.importance_std,
            one.pearson if one.HasField("pearson") else None,
            one.spearman if one.HasField("spearman") else None,
        )
        for one in found.parameters
    ]
    return Importance(listed, found.score, found.runs)


def filter_text(filters: Filter) -> str:
    return json.dumps(filters) if filters else ""


def _objective(objective: Objective | str) -> pb.RunObjective:
    from runstream_proto.v1 import query_pb2 as pb

    one = Objective(objective) if isinstance(objective, str) else objective
    for goal in (one.goal, one.at_goal):
        if goal not in _GOALS:
            raise InvalidRequestError(f"goal is {goal!r}: minimize or maximize")
    if one.by not in _AGGREGATES:
        raise InvalidRequestError(f"by is {one.by!r}: last, min, max or mean")
    return pb.RunObjective(
        metric=one.metric,
        aggregate=_AGGREGATES[one.by],  # type: ignore[arg-type]  # the enum's numbers
        goal=_GOALS[one.goal],  # type: ignore[arg-type]
        at=one.at,
        at_goal=_GOALS[one.at_goal],  # type: ignore[arg-type]
    )
