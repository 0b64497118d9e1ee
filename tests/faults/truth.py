"""What a trainer logs, computed without running it: steps that repeat and go back, values that name their record."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults import documents
from tests.faults.documents import Item

ENOUGH = "enough"
"""A mapped number beside the oracles: trainers end when it is not nought."""


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
    """At most: see `ENOUGH`."""
    rows_per_s: float
    metrics: int
    seed: int
    finish_s: float
    oracle: str
    threads: int = 1
    """Each logs keys of its own, and counts in the oracle for itself."""
    forks: bool = False
    """A child is forked now and then, which ends without logging."""
    habit: str = ""
    """How the trainer is written: see `trainer`."""
    workers: int = 0
    """Processes of its own that log too, each with an oracle of its own."""


def key_of(thread: int, name: str) -> str:
    return f"thread {thread} {name}" if thread else name


def worker_key(order: Order, worker: int, name: str) -> str:
    """Of one attempt alone: which of two attempts' workers came later is nobody's promise."""
    return f"attempt {order.attempt} worker {worker} {name}"


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


def records_of(order: Order, writer: str, thread: int, index: int) -> Iterator[list[Item]]:
    """What one row of a thread logs, by record of the spool, in their order; console lines count as a record of theirs
    (`is_numbered`)."""
    step = step_of(order, index)

    def key(kind: str, name: str) -> documents.Key:
        return (kind, order.run, key_of(thread, name), order.rank, step)

    yield [
        (key("points", f"metric {metric}"), value_of(order.attempt, index, metric)) for metric in range(order.metrics)
    ]
    if index % 50 == 0:
        yield [(key("strings", "note"), note_of(order.attempt, index))]
    if thread == 0:
        for item in documents.of_row(order, writer, index, step):
            yield [item]


def worker_records(order: Order, worker: int, index: int) -> Iterator[list[Item]]:
    """What one row of a worker process logs: its step is its row."""

    def key(kind: str, name: str) -> documents.Key:
        return (kind, order.run, worker_key(order, worker, name), order.rank, index)

    yield [
        (key("points", f"metric {metric}"), value_of(order.attempt, index, metric)) for metric in range(order.metrics)
    ]
    if index % 50 == 0:
        yield [(key("strings", "note"), note_of(order.attempt, index))]


def is_numbered(record: list[Item]) -> bool:
    """Console lines have a stream of their own: they take no number of the trainer's records."""
    return record[0][0][0] != "console"
