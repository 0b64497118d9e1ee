"""One number a run: of a metric its last value, minimum, maximum or mean, or its value at the step that another metric
chooses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.errors import InvalidQuestionError, UnknownNameError
from runstream_query.names import nearest
from runstream_query.selection.reading import ask
from runstream_query.selection.select import Selection
from runstream_query.storage import Storage, sql

_AGGREGATES = {pb.AGGREGATE_MIN: "min", pb.AGGREGATE_MAX: "max", pb.AGGREGATE_MEAN: "mean"}
_AMONG, _VALUES = "/* among */", "/* values */ SELECT '' AS run, nan AS value, CAST(NULL, 'Nullable(Int64)') AS at_step"
MAX_RUNS = 200_000
"""Of which a number is fetched into this process: a sweep of a hundred thousand trials, twice."""


@dataclass(frozen=True, slots=True)
class Among:
    """Which runs: of a sweep ('': any), and of a selection (None: all)."""

    sweep: str = ""
    selection: Selection | None = None

    @property
    def all(self) -> bool:
        return not self.sweep and self.selection is None


@dataclass(frozen=True, slots=True)
class Objective:
    metric: str
    aggregate: pb.Aggregate.ValueType = pb.AGGREGATE_LAST
    minimize: bool = True
    at: str = ""
    at_minimize: bool = True

    @classmethod
    def of(cls, asked: pb.RunObjective) -> Objective:
        """Raises InvalidQuestionError."""
        return cls(
            asked.metric, asked.aggregate, asked.goal != pb.GOAL_MAXIMIZE, asked.at, asked.at_goal != pb.GOAL_MAXIMIZE
        ).checked()

    def checked(self) -> Objective:
        if not self.metric:
            raise InvalidQuestionError("metric is empty: name the metric to rank by")
        if self.at and self.aggregate not in (pb.AGGREGATE_UNSPECIFIED, pb.AGGREGATE_LAST):
            raise InvalidQuestionError("give an aggregate, or the metric that chooses the step (at), not both")
        return self

    @property
    def is_last(self) -> bool:
        """Whether the last values are asked for."""
        return not self.at and self.aggregate not in _AGGREGATES

    def statement(self, among: Among, *, alone: bool = False) -> tuple[str, dict[str, Any]]:
        """A SELECT of run, value, at_step, and its parameters. `alone`: no run has the metric of several ranks."""
        if self.at:
            name, own = "value_at", {"selector": self.at, "minimize": int(self.at_minimize)}
        elif self.aggregate in _AGGREGATES:
            name, own = "value_all", {"aggregate": _AGGREGATES[self.aggregate]}
        else:
            name, own = "value_last_alone" if alone else "value_last", {}
        text = sql(name)
        parameters: dict[str, Any] = {"metric": self.metric, **own}
        conditions = ""
        if among.sweep:
            conditions += f"AND run IN ({sql('select_sweep')}) "
            parameters["sweep"] = json.dumps(among.sweep, ensure_ascii=False)
        if among.selection is not None:
            conditions += f"AND run IN ({among.selection.all_runs()})"
            parameters |= among.selection.parameters
        return text.replace(_AMONG, conditions), parameters


async def best(storage: Storage, project: str, objective: Objective, among: Among, limit: int) -> list[dict[str, Any]]:
    """Rows run, value, at_step: best first, NaN last, ties by run id. Raises UnknownNameError when there is none."""

    async def ranked(alone: bool) -> list[dict[str, Any]]:
        text, parameters = objective.statement(among, alone=alone)
        statement = sql("rank").replace(_VALUES, text)
        question = {"project": project, **parameters, "ascending": int(objective.minimize), "best": limit}
        return await _asked(storage, statement, among, question)

    alone = objective.is_last and await _of_one_rank(storage, project, objective.metric)
    rows = await ranked(alone)
    # Asked again afterwards: ranks only come, so there was none while the runs were ranked.
    if alone and not await _of_one_rank(storage, project, objective.metric):
        rows = await ranked(False)
    if not rows:
        await explain_nothing(storage, project, objective, among)
    return rows


async def _of_one_rank(storage: Storage, project: str, metric: str) -> bool:
    rows = await storage.rows("several_ranks", project=project, metric=metric)
    return not rows[0]["several"]


async def values(storage: Storage, project: str, objective: Objective, among: Among) -> dict[str, float]:
    """Run -> value, of at most MAX_RUNS runs. Raises InvalidQuestionError for more."""
    text, parameters = objective.statement(among)
    statement = f"SELECT run, value FROM ({text}) ORDER BY run LIMIT {MAX_RUNS + 1}"  # noqa: S608  # constant text
    rows = await _asked(storage, statement, among, {"project": project, **parameters})
    if len(rows) > MAX_RUNS:
        raise InvalidQuestionError(f"more than {MAX_RUNS} runs: narrow them with a filter")
    if not rows:
        await explain_nothing(storage, project, objective, among)
    return {row["run"]: row["value"] for row in rows}


async def explain_nothing(storage: Storage, project: str, objective: Objective, among: Among) -> None:
    """Raises UnknownNameError where the project has no such metric, or, without a filter, no run that has it."""
    rows = await storage.rows("metric_fields", project=project, search="", pattern="", after="", limit=10_000)
    known = {row["key"] for row in rows}
    for metric in filter(None, (objective.at, objective.metric)):
        if metric not in known:
            raise UnknownNameError(f"no run of {project} has the metric {metric[:100]!r}{nearest(metric, known)}")
    if among.all:
        raise UnknownNameError(f"no run of {project} has the metric {objective.metric[:100]!r}")


async def _asked(storage: Storage, statement: str, among: Among, question: dict[str, Any]) -> list[dict[str, Any]]:
    if among.selection is None:
        return await storage.ask(statement, **question)
    return await ask(storage, statement, among.selection, **question)
