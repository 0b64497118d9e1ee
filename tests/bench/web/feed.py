"""Runs that go on: `python -m tests.bench.web.feed PROJECT RUN METRICS FOLDER`; until `FOLDER/stop` is there."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import runstream

PAST = 3_000
"""Steps that are there at once: curves have all their buckets from the beginning."""
EVERY_S = 0.2


def main(project: str, name: str, metrics: int, folder: Path) -> None:
    run = runstream.init(project=project, id=name, name=name)
    step = 0

    def log() -> None:
        nonlocal step
        run.log({f"train/metric-{m}": math.exp(-step / 9000) + 0.1 * math.sin(step / (10 + m)) for m in range(metrics)})
        step += 1

    while step < PAST:
        log()
    (folder / f"{name}.ready").touch()
    while not (folder / "stop").exists():
        log()
        time.sleep(EVERY_S)
    run.finish(timeout=60)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
