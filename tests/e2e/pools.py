"""A process whose spool is full, with pools of workers that log: METHOD WHEN_FULL. Prints what was logged as JSON.

METHOD: fork | forkserver | spawn | loader (forked workers fed through queues, as data loaders are, while a thread of
the parent logs all the time).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
from typing import Any

import runstream

WORKERS = 4
TASKS = 20
STEPS = 25
LONG = "x" * 100_000
TRIES = 500
"""With `LONG`, half as much again as the spool may hold."""
_run: Any = None


def adopt(run: Any) -> None:
    global _run
    _run = run


def task(number: int) -> int:
    run = _run if _run is not None else runstream.run
    for step in range(STEPS):
        run.log({f"worker/{number}": float(number * 1000 + step)}, step=step)
    return int(number)


def work(run: Any, tasks: Any, results: Any) -> None:
    adopt(run)
    while (number := tasks.get()) is not None:
        results.put(task(number))


def fill(run: Any) -> int:
    """Log until the spool is full, or (drop_oldest) has been for long. Returns how many rows were tried.

    Texts fill it: as many bytes of points would be millions, which take the server longer than all else here.
    """
    row = {f"few/{number}": 1.0 for number in range(10)}
    tried = 0
    while run.points_dropped == 0 and tried < TRIES:
        run.log({"long": LONG}, step=tried)
        run.log(row, step=tried)
        tried += 1
    return tried


def main() -> None:
    method, when_full = sys.argv[1], sys.argv[2]
    settings = runstream.Settings(when_full=when_full, spool_limit_mb=32)
    run = runstream.init(project="pools", id=f"{method}-{when_full}", settings=settings)
    tried = fill(run)
    stop = threading.Event()

    def chatter() -> None:
        step = 0
        while not stop.is_set():  # in bursts: forks meet it in the middle, and the server has no millions to store
            for _ in range(50):
                run.log({"chatter": float(step)}, step=step)
                step += 1
            time.sleep(0.005)

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        done = loader(run) if method == "loader" else pool(run, method)
    finally:
        stop.set()
        thread.join()
    assert sorted(done) == list(range(TASKS))
    run.finish(timeout=0)
    print(json.dumps({"tried": tried, "logged": run.points_logged, "dropped": run.points_dropped}))


def pool(run: Any, method: str) -> list[int]:
    context = multiprocessing.get_context(method)
    workers = context.Pool(WORKERS, initializer=adopt, initargs=(run,), maxtasksperchild=5)
    done = list(workers.imap_unordered(task, range(TASKS)))
    # Not as a context manager: CPython's Pool.terminate() may wait for ever for a worker that it starts meanwhile.
    workers.close()
    workers.join()
    return done


def loader(run: Any) -> list[int]:
    context = multiprocessing.get_context("fork")
    tasks, results = context.Queue(), context.Queue()
    workers = [context.Process(target=work, args=(run, tasks, results), daemon=True) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for number in [*range(TASKS), *[None] * WORKERS]:
        tasks.put(number)
    done = [results.get(timeout=60) for _ in range(TASKS)]
    for worker in workers:
        worker.join(30)
    return done


if __name__ == "__main__":
    started = time.monotonic()
    main()
    if time.monotonic() - started > 100:
        os._exit(3)
