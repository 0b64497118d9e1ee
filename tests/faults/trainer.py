"""A training process of which every record is predictable: one JSON argument (`Order`). See `truth` for what it logs.

Two numbers a thread in a mapped file, which survives SIGKILL, say how far it came: rows handed to `log()`, and
returned. How it is written (`Order.habit`): "" joins its threads and calls `finish()`; "exits" leaves threads, and
itself, by `sys.exit` and never calls it; "daemons" ends while daemon threads log (with RUNSTREAM_STRICT: a call that
comes too late raises, so that it does not count as returned). Its workers are like a data loader's: forked or spawned
processes that log, and end when their parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import runstream
from tests.faults import documents
from tests.faults.truth import ENOUGH, Order, key_of, note_of, step_of, value_of, worker_key
from tests.support.counters import counters

_KEPT = contextlib.ExitStack()
"""Mapped as long as the process lives: daemon threads count to its very end."""


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    oracle = Path(order.oracle)
    described: dict[str, Any] = {}
    if order.rank == 0:
        described = {
            "config": documents.config(order),
            "tags": documents.tags(order),
            "notes": documents.notes(order),
        }
    run = runstream.init(
        project=order.project, id=order.run, rank=order.rank, world_size=order.world, resume="allow", **described
    )
    oracle.with_suffix(".writer").write_text(run._recorder.stream.writer_id)
    workers = _start_workers(run, order)
    counted = _KEPT.enter_context(counters(oracle))
    enough = _KEPT.enter_context(counters(oracle.with_name(ENOUGH)))
    threads = [
        threading.Thread(target=_log, args=(run, order, thread, counted, enough), daemon=order.habit == "daemons")
        for thread in range(1, order.threads)
    ]
    for one in threads:
        one.start()
    _log(run, order, 0, counted, enough)
    for worker in workers:
        worker.join()
    if order.habit == "daemons":
        sys.exit(0)
    for one in threads:
        one.join()
    if order.habit == "exits":
        sys.exit(0)
    run.finish(timeout=order.finish_s)


def _start_workers(run: Any, order: Order) -> list[Any]:
    """Of a data loader: each second one is forked, the others are spawned, with the run as an argument."""
    workers = []
    for number in range(order.workers):
        context: Any = multiprocessing.get_context("spawn" if number % 2 else "fork")
        workers.append(context.Process(target=work, args=(run, order, number), daemon=True))
        workers[-1].start()
    return workers


def work(run: Any, order: Order, number: int) -> None:
    """A worker's life: as long as its parent's, at most."""
    oracle = Path(order.oracle)
    parent = os.getppid()
    next_at = time.monotonic()
    with (
        counters(oracle.with_name(f"{oracle.name}.worker-{number}")) as counted,
        counters(oracle.with_name(ENOUGH)) as enough,
    ):
        for index in range(order.rows):
            if os.getppid() != parent or enough[0]:
                return
            data: dict[str, float | str] = {
                worker_key(order, number, f"metric {metric}"): value_of(order.attempt, index, metric)
                for metric in range(order.metrics)
            }
            if index % 50 == 0:
                data[worker_key(order, number, "note")] = note_of(order.attempt, index)
            counted[0] = index + 1
            run.log(data, step=index)
            counted[1] = index + 1
            next_at += 1 / order.rows_per_s
            time.sleep(max(next_at - time.monotonic(), 0))


def _log(run: Any, order: Order, thread: int, counted: memoryview, enough: memoryview) -> None:
    """One thread's rows. A `log()` that raises has refused its record: it does not count as returned."""
    names = [key_of(thread, f"metric {number}") for number in range(order.metrics)]
    next_at = time.monotonic()
    endless = bool(thread) and order.habit == "daemons"
    for index in range(order.rows * 1000 if endless else order.rows):
        if enough[0] and not endless:
            break
        data: dict[str, float | str] = {
            name: value_of(order.attempt, index, metric) for metric, name in enumerate(names)
        }
        if index % 50 == 0:
            data[key_of(thread, "note")] = note_of(order.attempt, index)
        if order.forks and thread == 0 and index % 40 == 39 and os.fork() == 0:
            os._exit(0)
        step = step_of(order, index)
        counted[2 * thread] = index + 1
        run.log(data, step=step)
        if thread == 0:
            documents.log(run, order, index, step)
        counted[2 * thread + 1] = index + 1
        next_at += 1 / order.rows_per_s
        time.sleep(max(next_at - time.monotonic(), 0))
    if order.habit == "exits" and thread:
        sys.exit(1)


if __name__ == "__main__":
    main()
