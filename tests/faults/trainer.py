"""A training process of which every record is predictable: one JSON argument (`Order`). See `truth` for what it logs.

Two numbers in a mapped file, which survives SIGKILL, say how far it came: records handed to `log()`, and returned.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import runstream
from tests.faults.truth import Order, key_of, note_of, step_of, value_of
from tests.support.counters import counters


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    oracle = Path(order.oracle)
    run = runstream.init(project=order.project, id=order.run, rank=order.rank, world_size=order.world, resume="allow")
    oracle.with_suffix(".writer").write_text(run._stream.writer_id)
    with counters(oracle) as counted:
        threads = [
            threading.Thread(target=_log, args=(run, order, thread, counted)) for thread in range(1, order.threads)
        ]
        for one in threads:
            one.start()
        _log(run, order, 0, counted)
        for one in threads:
            one.join()
    run.finish(timeout=order.finish_s)


def _log(run: Any, order: Order, thread: int, counted: memoryview) -> None:
    """One thread's rows. A `log()` that raises has refused its record: it does not count as returned."""
    names = [key_of(thread, f"metric {number}") for number in range(order.metrics)]
    next_at = time.monotonic()
    for index in range(order.rows):
        data: dict[str, float | str] = {
            name: value_of(order.attempt, index, metric) for metric, name in enumerate(names)
        }
        if index % 50 == 0:
            data[key_of(thread, "note")] = note_of(order.attempt, index)
        if order.forks and thread == 0 and index % 40 == 39 and os.fork() == 0:
            os._exit(0)
        counted[2 * thread] = index + 1
        run.log(data, step=step_of(order, index))
        counted[2 * thread + 1] = index + 1
        next_at += 1 / order.rows_per_s
        time.sleep(max(next_at - time.monotonic(), 0))


if __name__ == "__main__":
    main()
