"""Applies to summaries what runs declared about their metrics with `define_metric`."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from runstream_query.base.storage import Storage

_AGGREGATES = frozenset({"min", "max", "mean", "best", "first"})
_COLUMNS = {"min": "low", "max": "high", "mean": "mean", "first": "first"}
_METRICS_AT_ONCE = 10_000


def find(definitions: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """Return the definition with exactly this name, else of the last matching pattern, else an empty one."""
    if metric in definitions:
        return _document(definitions[metric])
    patterns = [name for name in definitions if any(mark in name for mark in "*?[")]
    return next((_document(definitions[name]) for name in reversed(patterns) if fnmatchcase(metric, name)), {})


async def apply(
    storage: Storage,
    project: str,
    definitions: Mapping[str, Mapping[str, Any]],
    summaries: dict[str, dict[str, Any]],
) -> None:
    """Add aggregates such as `metric.min` to the summaries, by run, and remove metrics that are not to be shown."""
    wanted: dict[str, dict[str, dict[str, Any]]] = {}
    for run, defined in definitions.items():
        if not defined:
            continue
        for metric in list(summaries.get(run, ())):
            definition = find(defined, metric)
            kinds = _kinds(definition)
            if "none" in kinds:
                del summaries[run][metric]
            elif kinds & _AGGREGATES:
                wanted.setdefault(run, {})[metric] = definition
    metrics = sorted({metric for of_run in wanted.values() for metric in of_run})
    for start in range(0, len(metrics), _METRICS_AT_ONCE):
        some = metrics[start : start + _METRICS_AT_ONCE]
        for row in await storage.rows("summaries", project=project, runs=sorted(wanted), metrics=some):
            definition = wanted[row["run"]].get(row["metric"], {})
            for kind in _kinds(definition) & _AGGREGATES:
                column = _COLUMNS.get(kind) or ("low" if definition.get("goal") == "minimize" else "high")
                summaries[row["run"]][f"{row['metric']}.{kind}"] = row[column]


def _kinds(definition: Mapping[str, Any]) -> set[str]:
    return {part.strip() for part in str(definition.get("summary") or "").split(",") if part.strip()}


def _document(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
