"""A training process of which every record is predictable: one JSON argument (`Order`). See `truth` for what it logs.

Two numbers in a mapped file, which survives SIGKILL, say how far it came: records handed to `log()`, and returned.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import runstream
from tests.faults.truth import Order, note_of, step_of, value_of
from tests.support.counters import counters


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    oracle = Path(order.oracle)
    run = runstream.init(project=order.project, id=order.run, rank=order.rank, world_size=order.world, resume="allow")
    oracle.with_suffix(".writer").write_text(run._stream.writer_id)
    names = [f"metric {number}" for number in range(order.metrics)]
    next_at = time.monotonic()
    with counters(oracle) as counted:
        for index in range(order.rows):
            step = step_of(order, index)
            data: dict[str, float | str] = {
                name: value_of(order.attempt, index, metric) for metric, name in enumerate(names)
            }
            if index % 50 == 0:
                data["note"] = note_of(order.attempt, index)
            counted[0] = index + 1
            run.log(data, step=step)
            counted[1] = index + 1
            next_at += 1 / order.rows_per_s
            time.sleep(max(next_at - time.monotonic(), 0))
    run.finish(timeout=order.finish_s)


if __name__ == "__main__":
    main()
