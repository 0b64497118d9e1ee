"""A small network in numpy that logs 10 metrics a step, for as many seconds as each line of its input says; answers
with the seconds of each step as JSON. `end` ends it."""

from __future__ import annotations

import json
import sys
import time

import numpy as np

import runstream


def main() -> None:
    run = runstream.init(project="bench", id="outage")
    generator = np.random.default_rng(0)
    inputs, weights = generator.normal(size=(256, 512)), generator.normal(size=(512, 512))
    row = {f"train/metric_{number:04d}": 1.0 / (number + 3) for number in range(10)}
    for line in sys.stdin:
        if line.strip() == "end":
            break
        times = []
        end = time.perf_counter() + float(line)
        before = time.perf_counter()
        while before < end:
            hidden = np.maximum(inputs @ weights, 0)
            weights = weights - 1e-6 * (inputs.T @ hidden)
            run.log(row)
            after = time.perf_counter()
            times.append(after - before)
            before = after
        print(json.dumps(times), flush=True)
    print(json.dumps(run.finish(timeout=60)), flush=True)


if __name__ == "__main__":
    main()
