"""A training process for benchmarks: logs rows of noisy curves, as fast as it can or at a rate; prints JSON.

RANK WORLD METRICS ROWS ROWS_PER_S RUN ("0" rows a second: as fast as it can)
"""

from __future__ import annotations

import json
import random
import resource
import struct
import sys
import time

import runstream


def rows_of(metrics: int, count: int, seed: int) -> list[dict[str, float]]:
    """Rows of curves that fall with noise, in float32 as a framework would have them."""
    generator = random.Random(seed)
    names = [f"train/metric_{index:03d}" for index in range(metrics)]
    rows = []
    for step in range(count):
        values = [(1 + index) / (1 + step / 50) * (1 + 0.1 * generator.random()) for index in range(metrics)]
        rounded = struct.unpack(f"{metrics}f", struct.pack(f"{metrics}f", *values))
        rows.append(dict(zip(names, rounded, strict=True)))
    return rows


def main() -> None:
    rank, world, metrics, rows, rate = (int(argument) for argument in sys.argv[1:6])
    prepared = rows_of(metrics, 500, rank)
    run = runstream.init(project="bench", id=sys.argv[6], rank=rank, world_size=world)
    started = time.time()
    cpu = time.process_time()
    next_at = time.monotonic()
    for step in range(rows):
        data = prepared[step % 500]
        if rate:
            next_at += 1 / rate
            pause = next_at - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            data = {**data, "probe": time.time()}
        run.log(data)
    logged = time.time()
    cpu = time.process_time() - cpu
    stored = run.finish(timeout=300)
    report = {
        "started": started,
        "logged": logged,
        "finished": time.time(),
        "stored": stored,
        "points": run.points_logged,
        "cpu_s": cpu,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
