"""Applies to summaries what runs declared about their metrics with `define_metric`."""

from __future__ import annotations

from collections.abc import Mapping

from runstream_query.base.offload import offload
from runstream_query.base.storage import Storage
from runstream_query.runs.name_patterns import NamePatterns

_AGGREGATES = frozenset({"min", "max", "mean", "best", "first"})
_COLUMNS = {"min": "low", "max": "high", "mean": "mean", "first": "first"}
_METRICS_AT_ONCE = 10_000
_MANY_PAIRS = 20_000
"""From so many pairs of definition and metric on, they are compared in a thread."""


def find(definitions: Mapping[str, object], metric: str) -> dict[str, object]:
    """Return the definition with exactly this name, else of the last matching pattern, else an empty one."""
    return _find(definitions, _patterns(definitions), metric)


def _patterns(definitions: Mapping[str, object]) -> NamePatterns:
    """Return the names that are patterns; the one that takes precedence comes first."""
    return NamePatterns(reversed(list(definitions)))


def _find(definitions: Mapping[str, object], patterns: NamePatterns, metric: str) -> dict[str, object]:
    name = metric if metric in definitions else next(patterns.matching(metric), None)
    return {} if name is None else _document(definitions[name])


async def apply(
    storage: Storage,
    project: str,
    definitions: Mapping[str, Mapping[str, object]],
    summaries: dict[str, dict[str, object]],
) -> set[str]:
    """Add aggregates such as `metric.min` to the summaries, by run, and remove metrics that are not to be shown.

    Return the runs that have aggregates.
    """
    pairs = sum(len(defined) * len(summaries.get(run, ())) for run, defined in definitions.items())
    wanted = await offload(pairs > _MANY_PAIRS, _wanted, definitions, summaries)
    metrics = sorted({metric for of_run in wanted.values() for metric in of_run})
    for start in range(0, len(metrics), _METRICS_AT_ONCE):
        some = metrics[start : start + _METRICS_AT_ONCE]
        for row in await storage.rows("summaries", project=project, runs=sorted(wanted), metrics=some):
            definition = wanted[row["run"]].get(row["metric"], {})
            for kind in _kinds(definition) & _AGGREGATES:
                column = _COLUMNS.get(kind) or ("low" if definition.get("goal") == "minimize" else "high")
                summaries[row["run"]][f"{row['metric']}.{kind}"] = row[column]
    return set(wanted)


def _wanted(
    definitions: Mapping[str, Mapping[str, object]], summaries: dict[str, dict[str, object]]
) -> dict[str, dict[str, dict[str, object]]]:
    """Return by run the metrics of which aggregates are wanted, and their definitions.

    Remove metrics that are not to be shown from the summaries.
    """
    wanted: dict[str, dict[str, dict[str, object]]] = {}
    for run, defined in definitions.items():
        if not defined:
            continue
        patterns = _patterns(defined)
        for metric in list(summaries.get(run, ())):
            definition = _find(defined, patterns, metric)
            kinds = _kinds(definition)
            if "none" in kinds:
                del summaries[run][metric]
            elif kinds & _AGGREGATES:
                wanted.setdefault(run, {})[metric] = definition
    return wanted


def _kinds(definition: Mapping[str, object]) -> set[str]:
    return {part.strip() for part in str(definition.get("summary") or "").split(",") if part.strip()}


def _document(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
