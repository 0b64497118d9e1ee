"""Training processes that are killed: FOLDER TRIALS SEED. One after the other, each with SIGKILL at a random moment.

Each trial is a fork of this process, which has imported the SDK and done nothing with it. The trial notes in a mapped
file how many `log()` calls have returned; the file survives the kill. Prints one JSON object: run id to that number.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import psutil

import runstream
from tests.support.counters import counters, new_counters


def trial(run_id: str, returned: memoryview, seed: int) -> None:
    generator = random.Random(seed)
    width = generator.choice([1, 3, 10])
    run = runstream.init(project="killed", id=run_id)
    step = 0
    while True:
        run.log({f"metric {number}": value(seed, number, step) for number in range(width)}, step=step)
        step += 1
        returned[0] = step
        if step % 50 == 0:
            run.log({"note": f"step {step}"}, step=step - 1)
            returned[1] = step // 50
        if generator.random() < 0.01:
            time.sleep(0.002)


def wait_for_the_first(returned: memoryview) -> None:
    """Until one `log()` has returned: however slow the machine is at the moment."""
    deadline = time.monotonic() + 10
    while not returned[0] and time.monotonic() < deadline:
        time.sleep(0.001)


def value(seed: int, number: int, step: int) -> float:
    return seed * 1e6 + number * 1e5 + step


def main() -> None:
    folder, trials, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    generator = random.Random(seed)
    found = {}
    for number in range(trials):
        run_id = f"killed-{number}"
        path = folder / run_id
        new_counters(path, 2)
        with counters(path) as returned:
            pid = os.fork()
            if pid == 0:
                trial(run_id, returned, number)
            # Some before init() has ended, most while they log, a few when more than one segment is full.
            if generator.random() < 0.15:
                time.sleep(generator.random() * 0.2)
            else:
                wait_for_the_first(returned)
                time.sleep(generator.choice([0.0, 0.02, 0.1, 0.2]) * generator.random())
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            found[run_id] = list(returned)
        if generator.random() < 0.1:
            kill_sender(os.environ["RUNSTREAM_DIR"])
    print(json.dumps(found))


def kill_sender(folder: str) -> None:
    """The node's sender dies too, now and then."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "runstream.sender" in command and folder in command:
            process.kill()


if __name__ == "__main__":
    main()
