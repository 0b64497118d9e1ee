"""What a fault is, and the round that it is played in."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.findings import Findings
from tests.faults.lab import Lab
from tests.faults.workload import Workload


@dataclass(slots=True)
class Round:
    """One round: where, with what, and by which dice."""

    lab: Lab
    workload: Workload
    random: random.Random
    problems: list[str] = field(default_factory=list)
    """What broke a promise, beside what the checker finds."""

    def pause(self, low: float, high: float) -> None:
        time.sleep(self.random.uniform(low, high))

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.problems.append(what)


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    brokers: tuple[int, ...]
    """The labs in which it can be played: 0 embedded, 1 or 3 brokers."""
    play: Callable[[Round], None]
    load_s: float = 8.0
    """How long the trainers log."""
    before: Callable[[Lab, Path], dict[str, Any]] | None = None
    """Arguments for the workload, and preparations."""
    after: Callable[[Round, Findings], None] | None = None
    """At rest, after the checker."""
    lossy: bool = False
    """Destroys records that were logged."""
    watched: bool = False
    """Lets every trainer live: no run may be seen crashed while it is played."""
