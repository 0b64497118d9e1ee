"""What a trainer logs, computed without running it: steps that repeat and go back, values that name their record."""

from __future__ import annotations

import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """What one attempt of one rank is to log."""

    project: str
    run: str
    rank: int
    world: int
    attempt: int
    first_step: int
    """Below where the attempt before ended: a resumed run logs old steps again."""
    rows: int
    rows_per_s: float
    metrics: int
    seed: int
    finish_s: float
    oracle: str
    threads: int = 1
    """Each logs keys of its own, and counts in the oracle for itself."""
    forks: bool = False
    """A child is forked now and then, which ends without logging."""


def key_of(thread: int, name: str) -> str:
    return f"thread {thread} {name}" if thread else name


def step_of(order: Order, index: int) -> int:
    """Mostly the next step; now and then one of the last twenty again."""
    dice = zlib.crc32(f"{order.seed}/{order.run}/{order.rank}/{order.attempt}/{index}".encode())
    step = order.first_step + index
    return max(step - dice // 40 % 20, 0) if dice % 40 == 0 else step


def value_of(attempt: int, index: int, metric: int) -> float:
    """Exact as a double, different for each record and metric; now and then not finite."""
    if index % 97 == 11:
        return (float("nan"), float("inf"), float("-inf"))[metric % 3]
    return float(attempt << 32 | index << 8 | metric)


def note_of(attempt: int, index: int) -> str:
    return f"attempt {attempt}, record {index}"
