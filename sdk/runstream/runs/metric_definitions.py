"""`define_metric`: the x axis and the summary of metrics, for names and glob patterns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from runstream.base.text import valid_name
from runstream.errors import UsageError
from runstream.spool.append_row import AppendRow

SUMMARIES = ("last", "min", "max", "mean", "best", "first", "none")
GOALS = ("minimize", "maximize")


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    name: str
    """A metric, or a glob pattern."""
    step_metric: str = ""
    summary: tuple[str, ...] = ()
    goal: str = ""
    hidden: bool = False

    @property
    def tracked(self) -> bool:
        """Whether its summary needs more than the last value."""
        return any(kind not in ("last", "none") for kind in self.summary)


def make_definition(
    name: str, step_metric: object = None, summary: str | None = None, goal: str | None = None, hidden: bool = False
) -> MetricDefinition:
    """Return the definition of these arguments. Raises UsageError that names the argument which cannot be used."""
    if not isinstance(name, str) or not name:
        raise UsageError(f"define_metric: the name is {name!r}: give a metric's name or a glob pattern")
    kinds = tuple(part.strip() for part in (summary or "").split(",") if part.strip())
    kinds = tuple("last" if kind == "copy" else kind for kind in kinds)
    for kind in kinds:
        if kind not in SUMMARIES:
            raise UsageError(f"define_metric: summary is {kind!r}: use {', '.join(SUMMARIES)}")
    goal = {"min": "minimize", "max": "maximize"}.get(goal or "", goal or "")
    if goal and goal not in GOALS:
        raise UsageError(f"define_metric: goal is {goal!r}: use {' or '.join(GOALS)}")
    if "best" in kinds and not goal:
        raise UsageError("define_metric: summary='best' needs goal='minimize' or 'maximize'")
    drawn_against = getattr(step_metric, "name", step_metric)  # W&B also takes what define_metric returned
    return MetricDefinition(valid_name(name), valid_name(str(drawn_against or "")), kinds, goal, bool(hidden))


class _Extent:
    """The numbers that a summary may need of one metric's finite values."""

    __slots__ = ("count", "first", "high", "low", "total")

    def __init__(self) -> None:
        self.low, self.high, self.total, self.count = math.inf, -math.inf, 0.0, 0
        self.first = math.nan

    def add(self, value: float) -> None:
        if math.isfinite(value):
            self.first = value if not self.count else self.first
            self.low, self.high = min(self.low, value), max(self.high, value)
            self.total += value
            self.count += 1

    def read(self, kind: str, goal: str) -> float:
        if not self.count:
            return math.nan
        kind = ("min" if goal == "minimize" else "max") if kind == "best" else kind
        return {"min": self.low, "max": self.high, "mean": self.total / self.count, "first": self.first}[kind]


class Definitions:
    """The definitions of a run, and the running extents of the metrics whose summary needs them.

    This is this process's view; the server computes summaries over all ranks from what is stored.
    """

    def __init__(self) -> None:
        self._exact: dict[str, MetricDefinition] = {}
        self._patterns: list[MetricDefinition] = []
        self._extents: dict[str, _Extent] = {}
        self._plans: dict[tuple[str, ...], list[tuple[int, _Extent]]] = {}

    def add(self, definition: MetricDefinition) -> None:
        if any(mark in definition.name for mark in "*?["):
            self._patterns.append(definition)
        else:
            self._exact[definition.name] = definition
        self._plans.clear()

    def find(self, metric: str) -> MetricDefinition | None:
        """Return the exact definition of a metric, else the last pattern that matches."""
        if metric in self._exact:
            return self._exact[metric]
        return next((one for one in reversed(self._patterns) if fnmatchcase(metric, one.name)), None)

    @property
    def tracked(self) -> bool:
        return any(one.tracked for one in (*self._exact.values(), *self._patterns))

    def wrap(self, append: AppendRow) -> AppendRow:
        """Return `append` as a function that also keeps the extents. Only runs with such a summary pay for it."""

        def append_and_note(keys: tuple[str, ...], values: Iterable[object], step: int, now: int) -> None:
            append(keys, values, step, now)
            plan = self._plans.get(keys)
            if plan is None:
                plan = self._plans[keys] = self._plan(keys)
            if plan:
                numbers = list(values)
                for place, extent in plan:
                    extent.add(float(numbers[place]))  # type: ignore[arg-type]  # `append` packed it as a double

        return append_and_note

    def summary(self, last: dict[str, float]) -> dict[str, float]:
        """Return `last` with the values that the definitions ask for, such as `loss.min`.

        Values that the definitions hide are left out.
        """
        shown = dict(last)
        for metric in last:
            definition = self.find(metric)
            if definition is None:
                continue
            if "none" in definition.summary:
                del shown[metric]
            extent = self._extents.get(metric)
            for kind in definition.summary if extent else ():
                if extent and kind not in ("last", "none"):
                    shown[f"{metric}.{kind}"] = extent.read(kind, definition.goal)
        return shown

    def _plan(self, keys: tuple[str, ...]) -> list[tuple[int, _Extent]]:
        plan = []
        for place, key in enumerate(keys):
            definition = self.find(key)
            if definition is not None and definition.tracked:
                plan.append((place, self._extents.setdefault(key, _Extent())))
        return plan
