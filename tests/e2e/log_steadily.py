"""A training process that takes its time, and logs till a file is there, and STEPS more; prints how many in all.

RANK WORLD STEPS FILE"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import runstream


def main() -> None:
    rank, world, steps = (int(argument) for argument in sys.argv[1:4])
    run = runstream.init(project="steady", id="steady", rank=rank, world_size=world)
    for step in itertools.count():
        if step % steps == 0 and Path(sys.argv[4]).exists():
            break
        run.log({"value": rank * 1_000_000 + step, "half": step / 2, "time": time.time()})
        time.sleep(0.005)
    print(step)
    sys.exit(0 if run.finish(timeout=100) else 3)


if __name__ == "__main__":
    main()
