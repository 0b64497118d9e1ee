"""A training process that takes its time: a few hundred steps a second. RANK WORLD STEPS"""

from __future__ import annotations

import sys
import time

import runstream


def main() -> None:
    rank, world, steps = (int(argument) for argument in sys.argv[1:4])
    run = runstream.init(project="steady", id="steady", rank=rank, world_size=world)
    for step in range(steps):
        run.log({"value": rank * 10_000 + step, "half": step / 2, "time": time.time()})
        time.sleep(0.005)
    sys.exit(0 if run.finish(timeout=100) else 3)


if __name__ == "__main__":
    main()
