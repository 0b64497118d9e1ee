"""What the tests' sweeps start: says what it got, logs, and does what its parameters say."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import runstream


def main() -> None:
    place = Path(os.environ["TRIAL_PLACE"])
    let_go = (place / "let-go").exists()  # before it says that it is there: what the test does then is for the next
    run = runstream.init(config={"default": 1, "model": {"name": "mlp"}})
    said = {
        "arguments": sys.argv[1:],
        "config": run.config.as_dict(),
        "run": run.id,
        "rank": run.rank,
        "resumed": run.resumed,
        "step": run.step,
        "pid": os.getpid(),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "sweep": run.sweep_id,
    }
    path = place / f"{run.id}-{os.getpid()}.json"
    path.with_suffix(".part").write_text(json.dumps(said))
    path.with_suffix(".part").rename(path)
    kind = run.config.get("kind", "short")
    if kind == "failing":
        raise ValueError("the learning rate is too large")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "meeting":  # ends when another trial runs beside it
        deadline = time.monotonic() + 60
        while len(list(place.glob("*.json"))) < 2:
            assert time.monotonic() < deadline, "no other trial runs at the same time"
            time.sleep(0.02)
    steps = 6000 if kind == "long" and not let_go else 3
    for step in range(steps):
        run.log({"value": float(run.config.get("x", 0)) + step})
        time.sleep(0.05 if steps > 3 else 0)


if __name__ == "__main__":
    main()
