"""Describe the data that a watcher wants. It is pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from runstream_query.live.limits import MAX_PATTERN_CHARACTERS


@dataclass(frozen=True, slots=True)
class Interest:
    """The data that one watcher wants. Watchers with equal interests share one response of an entry."""

    runs: frozenset[str] = frozenset()
    """Ids; empty means new runs and states of the whole project, and nothing else."""
    metrics: tuple[str, ...] = ()
    """Names, or patterns with * and ?."""
    ranks: frozenset[int] = frozenset()
    """Ranks whose points are wanted; empty means all."""
    console: bool = False
    console_ranks: frozenset[int] = frozenset()

    def wants_run(self, run: str) -> bool:
        return not self.runs or run in self.runs

    def wants_points(self, run: str, metric: str, rank: int) -> bool:
        return run in self.runs and (not self.ranks or rank in self.ranks) and _fits(metric, self.metrics)

    def wants_line(self, run: str, rank: int) -> bool:
        return self.console and run in self.runs and (not self.console_ranks or rank in self.console_ranks)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The union of all interests in one run."""

    metrics: tuple[str, ...]
    """Names without wildcards."""
    pattern: str
    """An RE2 pattern for more names; empty means none."""
    console: bool
    console_ranks: tuple[int, ...]
    """Ranks; empty means all."""


def wanted_of(run: str, interests: Iterable[Interest]) -> Wanted | None:
    """Return the union of the interests in the run; None if no interest needs more than its state."""
    found = [interest for interest in interests if run in interest.runs]
    if not found:
        return None
    names = {name for interest in found for name in interest.metrics if not is_pattern(name)}
    patterns = sorted({name for interest in found for name in interest.metrics if is_pattern(name)})
    listeners = [interest for interest in found if interest.console]
    ranks: set[int] = set()
    if all(interest.console_ranks for interest in listeners):
        ranks = {rank for interest in listeners for rank in interest.console_ranks}
    return Wanted(tuple(sorted(names)), regex(patterns), bool(listeners), tuple(sorted(ranks)))


def is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def regex(patterns: Iterable[str]) -> str:
    """Return a pattern, for RE2 and Python, that matches whole names; empty if there are no patterns.

    If it would be longer than MAX_PATTERN_CHARACTERS, it matches every name.
    """
    parts = [
        "".join(".*" if part == "*" else "." if part == "?" else re.escape(part) for part in pattern)
        for pattern in patterns
    ]
    if not parts:
        return ""
    whole = f"(?s)^(?:{'|'.join(parts)})$"
    return whole if len(whole) <= MAX_PATTERN_CHARACTERS else "(?s)^.*$"


@lru_cache(maxsize=4096)
def _matcher(metrics: tuple[str, ...]) -> tuple[frozenset[str], list[re.Pattern[str]]]:
    names = frozenset(name for name in metrics if not is_pattern(name))
    # One pattern each: a long alternation of .* would be slow to match.
    return names, [re.compile(regex([name])) for name in metrics if is_pattern(name)]


@lru_cache(maxsize=65_536)
def _fits(metric: str, metrics: tuple[str, ...]) -> bool:
    names, patterns = _matcher(metrics)
    return metric in names or any(pattern.match(metric) for pattern in patterns)
