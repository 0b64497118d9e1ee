"""Stop trials early: a trial continues past a bracket only if it is among the best 1/eta of those that reached it.

A bracket is a number of logs of the metric, whatever their steps. As in W&B, a running trial is judged at the highest
bracket that it reached, against all trials that reached that bracket, and again when more of them arrive (asynchronous
successive halving). Of n such trials, the value of rank int(n / eta) + 1 is the last that is good enough. The trial is
judged by its best value so far; with `strict` by its value at the bracket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runstream_query.sweeps.definition import Hyperband

MAX_BRACKETS = 32
"""How many brackets of an endless schedule are used. With eta = 3 the last is never reached; with an eta near 1 trials
are judged at the last bracket until they end."""


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """What a trial logged of the metric: finite values only. `low` and `high` are the extremes of all of them."""

    logs: int
    at: tuple[float | None, ...]
    """Its value at each of the first brackets; None for one that it did not reach. The tuple may be shorter."""
    low: float
    high: float


def threshold(values: Iterable[float], eta: float, maximize: bool) -> float:
    """Return the last value that is good enough. `values` must not be empty."""
    ranked = sorted(values, reverse=maximize)
    return ranked[min(int(len(ranked) / eta), len(ranked) - 1)]


def trials_to_stop(
    rule: Hyperband, maximize: bool, trials: Mapping[int, TrialProgress], running: Iterable[int]
) -> dict[int, str]:
    """Return the running trials that must stop, each with the reason."""
    stop: dict[int, str] = {}
    limits: dict[int, tuple[float, int]] = {}
    for number in running:
        progress = trials.get(number)
        bracket = _highest(rule, progress) if progress is not None else None
        if progress is None or bracket is None:
            continue
        if bracket not in limits:
            reached = [value for other in trials.values() if (value := _at(other, bracket)) is not None]
            limits[bracket] = threshold(reached, rule.eta, maximize), len(reached)
        limit, count = limits[bracket]
        value = _at(progress, bracket) if rule.strict else progress.high if maximize else progress.low
        assert value is not None
        if value < limit if maximize else value > limit:
            stop[number] = (
                f"after {rule.brackets[bracket]} logs it is not among the best 1/{rule.eta:g} of {count} trials: "
                f"{value:.6g} against {limit:.6g}"
            )
    return stop


def _highest(rule: Hyperband, progress: TrialProgress) -> int | None:
    """Return the index of the highest bracket reached; None if there is none."""
    reached = [index for index, logs in enumerate(rule.brackets[:MAX_BRACKETS]) if logs <= progress.logs]
    return reached[-1] if reached else None


def _at(progress: TrialProgress, bracket: int) -> float | None:
    return progress.at[bracket] if bracket < len(progress.at) else None
