"""Read the results of trials: the values of their runs' metrics, from ClickHouse when a run has ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from runstream_common import text
from runstream_common.times import now_us
from runstream_control.sweeps.model import TrialRow
from runstream_query.base.storage import Storage
from runstream_query.runs import metric_definitions
from runstream_query.runs.lookup import Lookup
from runstream_query.sweeps.definition import SUMMARIES, ObjectiveSpec

UNKNOWN_AFTER_US = 60_000_000
"""Microseconds after the end of a trial until a run that is still unknown counts as missing.

The program did not call init(), or its data has not arrived yet.
"""
UNFINISHED_AFTER_US = 120_000_000
"""Microseconds after the end of a trial until its unfinished run counts with the values that are stored."""
_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_METRICS = 1000


async def read(
    storage: Storage, lookup: Lookup, project: str, objectives: Sequence[ObjectiveSpec], trials: Sequence[TrialRow]
) -> dict[int, Sequence[float] | str]:
    """Return by trial its values, one for each objective, or the reason why there are none. Raise StorageError.

    Trials whose run is not complete yet are left out: call again later.
    """
    runs = sorted({trial.run for trial in trials})
    states = {row["run"]: row["state"] for row in await lookup.run_rows(project, runs=runs, limit=len(runs))}
    ready = [trial for trial in trials if _is_ready(trial, states.get(trial.run))]
    known = sorted({trial.run for trial in ready if trial.run in states})
    summaries = await _summaries(storage, project, objectives, known) if known else {}
    found: dict[int, Sequence[float] | str] = {}
    for trial in ready:
        if trial.run not in states:
            found[trial.number] = f"the run {trial.run} was never received: does the program call runstream.init()?"
            continue
        values = [summaries.get(trial.run, {}).get(index) for index in range(len(objectives))]
        missing = [o.metric for o, value in zip(objectives, values, strict=True) if value is None]
        if missing:
            found[trial.number] = f"the run {trial.run} never logged {', '.join(map(repr, missing))}"[:4096]
        else:
            found[trial.number] = [value for value in values if value is not None]
    return found


def _is_ready(trial: TrialRow, state: str | None) -> bool:
    age_us = now_us() - (trial.ended_us or 0)
    if state is None:
        return age_us > UNKNOWN_AFTER_US
    return state != "running" or age_us > UNFINISHED_AFTER_US


async def _summaries(
    storage: Storage, project: str, objectives: Sequence[ObjectiveSpec], runs: list[str]
) -> dict[str, dict[int, float]]:
    """Return by run, and by index of the objective, its value."""
    fields: dict[str, dict[str, dict[str, object]]] = {run: {"summary": {}, "definition": {}} for run in runs}
    for row in await storage.rows("run_fields", project=project, runs=runs, sections=["summary", "definition"]):
        fields[row["run"]][row["section"]][row["key"]] = text.parsed(row["value"])
    # `loss.min` may be a metric of that name, or what define_metric("loss", summary="min") makes.
    names = sorted({name for objective in objectives for name in (objective.metric, _split(objective.metric)[0])})
    last: dict[tuple[str, str], float] = {}
    for row in await storage.rows(
        "run_values", project=project, runs=runs, metric_names=names, metric_pattern="", all_metric=0, limit=_METRICS
    ):
        last[row["run"], row["metric"]] = row["last_value"]
    whole: dict[tuple[str, str], Mapping[str, float]] = {}
    wanted = {
        (run, index): _kind(objective, run, last, fields[run]["definition"])
        for run in runs
        for index, objective in enumerate(objectives)
    }
    metrics = sorted({metric for metric, kind in wanted.values() if kind not in ("", "last")})
    if metrics:
        for row in await storage.rows("summaries", project=project, runs=runs, metrics=metrics):
            whole[row["run"], row["metric"]] = row
    found: dict[str, dict[int, float]] = {run: {} for run in runs}
    for (run, index), (metric, kind) in wanted.items():
        objective = objectives[index]
        own = None if objective.summary else _number(fields[run]["summary"].get(objective.metric))
        value = own if own is not None else _value(objective, run, metric, kind, last, whole)
        if value is not None:
            found[run][index] = value
    return found


def _kind(
    objective: ObjectiveSpec, run: str, last: Mapping[tuple[str, str], float], defined: Mapping[str, object]
) -> tuple[str, str]:
    """Return the metric behind an objective, and which of its values counts.

    The objective's own summary decides, else the run's definition of the metric.
    """
    metric, suffix = objective.metric, ""
    if (run, metric) not in last:
        base, kind = _split(metric)
        if kind and (run, base) in last:
            metric, suffix = base, kind
    if objective.summary or suffix:
        return metric, objective.summary or suffix
    summary = str(metric_definitions.find(defined, metric).get("summary") or "") if defined else ""
    kinds = [part.strip() for part in summary.split(",") if part.strip() in SUMMARIES]
    return metric, kinds[0] if kinds else "last"


def _value(
    objective: ObjectiveSpec,
    run: str,
    metric: str,
    kind: str,
    last: Mapping[tuple[str, str], float],
    whole: Mapping[tuple[str, str], Mapping[str, float]],
) -> float | None:
    if (run, metric) not in last:
        return None
    if kind == "last":
        return last[run, metric]
    if (run, metric) not in whole:  # it was never finite
        return math.nan
    column = {"min": "low", "max": "high", "mean": "mean", "first": "first"}.get(kind)
    return float(whole[run, metric][column or ("high" if objective.maximize else "low")])


def _split(name: str) -> tuple[str, str]:
    """Split `loss.min` into ("loss", "min"); return ("loss", "") if the name has no such end."""
    base, _, end = name.rpartition(".")
    return (base, end) if base and end in SUMMARIES else (name, "")


def _number(value: object) -> float | None:
    """Return a summary value that the program set, as a number; None if it is none."""
    if isinstance(value, str):
        return _NUMBERS.get(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
