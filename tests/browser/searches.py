"""A sweep made and worked on by a real agent, for the page's tests: `python -m tests.browser.searches PROJECT COUNT`.
Prints the sweep's id before the first trial begins. `--wait FILE`: goes on with the next trial when the file is there.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from pathlib import Path

import runstream

FAILS = 4
"""Which trial fails, with words that want to be code."""
WORDS = "out of memory <img src=x onerror=window.__broken=1>"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project")
    parser.add_argument("count", type=int)
    parser.add_argument("--name", default="learning rate and depth")
    parser.add_argument("--wait", type=Path)
    parser.add_argument("--after", type=int, default=0, help="with --wait: so many trials before")
    arguments = parser.parse_args()
    sweep = runstream.sweep(
        {
            "name": arguments.name,
            "method": "random",
            "seed": 7,
            "metric": {"name": "val/loss", "goal": "minimize"},
            "parameters": {
                "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1},
                "batch_size": {"values": [16, 32, 64, 128]},
                "model": {"parameters": {"depth": {"min": 1, "max": 8}, "norm": {"values": ["layer", "rms", "batch"]}}},
                "dropout": {"min": 0.0, "max": 0.5},
                "seed": {"value": 1},
            },
            "run_cap": arguments.count,
        },
        project=arguments.project,
    )
    print(sweep, flush=True)
    begun = 0

    def train() -> None:
        nonlocal begun
        begun += 1
        if arguments.wait and begun > arguments.after:
            deadline = time.monotonic() + 100
            while not arguments.wait.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
        run = runstream.init()
        chance = random.Random(begun)
        lr, depth = run.config["lr"], run.config["model"]["depth"]
        if begun == FAILS:
            raise RuntimeError(WORDS)
        best = 0.3 + 0.12 * abs(math.log10(lr) + 2.8) + 0.03 * abs(depth - 5) + 0.1 * run.config["dropout"]
        for step in range(20):
            run.log({"val/loss": best + 2 * math.exp(-step / 5) + chance.gauss(0, 0.01), "val/size_mb": depth * 11.5})
        run.finish(timeout=60)

    runstream.agent(sweep, train, count=arguments.count)


if __name__ == "__main__":
    main()
