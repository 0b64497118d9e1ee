"""What server trouble costs training: `python -m tests.bench.outage [--quick]`. Prints JSON last.

A numpy training loop logs 10 metrics a step through a proxy to a live gateway. In turns the gateway is well, then
stopped (SIGSTOP), then well, then throttled to 10 KB/s, then well, then answering errors; each trouble is compared with
the good times before and after it, in the same process. At the end the trouble ends, and everything must be stored.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from runstream.api import Api
from tests.support.processes import free_port
from tests.support.proxy import Proxy
from tests.support.stack import ServiceStack, clean_environment

ROOT = Path(__file__).parents[2]
THROTTLE_BYTES_PER_S = 10_000.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="6 s of each trouble instead of 60")
    parser.add_argument("--only", choices=["stopped", "throttled", "errors"], help="one of the troubles")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="runstream-bench-") as folder:
        print(json.dumps(measure(Path(folder), 6.0 if arguments.quick else 60.0, arguments.only), indent=1))


def measure(folder: Path, seconds: float, only: str | None) -> dict[str, Any]:
    stack = ServiceStack(folder / "stack").start()
    proxy = Proxy(stack.address("gateway"))
    refusing_port = free_port()
    refusing = subprocess.Popen(
        [sys.executable, "-m", "tests.support.refusing_gateway", str(refusing_port)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    environment = {
        **clean_environment(),
        **stack.sdk_environment(folder / "spool"),
        "RUNSTREAM_GATEWAY": proxy.address,
        "PYTHONPATH": str(ROOT),
        "OPENBLAS_NUM_THREADS": "1",
    }
    try:
        assert refusing.stdout is not None and refusing.stdout.readline()
        command = [sys.executable, str(Path(__file__).with_name("train_loop.py"))]
        trainer = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        found = play(trainer, stack, proxy, f"127.0.0.1:{refusing_port}", seconds, only)
        os.environ.update(environment)
        run = Api().run("bench/outage")
        found["points_logged"] = run.completeness["points_logged"]
        found["points_stored"] = run.completeness["points_stored"]
        found["verdict"] = run.completeness["verdict"]
        return found
    finally:
        refusing.kill()
        proxy.close()
        stack.stop()


def play(
    trainer: Any, stack: ServiceStack, proxy: Proxy, refusing: str, seconds: float, only: str | None
) -> dict[str, Any]:
    gateway = stack.services["ingest"].pid
    well = proxy.target

    def stop() -> None:
        os.kill(gateway, signal.SIGSTOP)

    def go_on() -> None:
        os.kill(gateway, signal.SIGCONT)

    def throttle() -> None:
        proxy.bytes_per_s = THROTTLE_BYTES_PER_S

    def free() -> None:
        proxy.bytes_per_s = None
        proxy.cut()

    def refuse() -> None:
        proxy.target = refusing
        proxy.cut()

    def accept() -> None:
        proxy.target = well
        proxy.cut()

    found: dict[str, Any] = {"seconds_of_each_trouble": seconds}
    for name, begin, end in (("stopped", stop, go_on), ("throttled", throttle, free), ("errors", refuse, accept)):
        if only not in (None, name):
            continue
        # The machine's other tenants come and go, so good and bad times alternate in slices, and each bad slice is
        # compared with the good ones before and after it.
        slices = 1 if name == "stopped" else 20
        good, bad = [steps(trainer, seconds / slices)], []
        for _ in range(slices):
            begin()
            bad.append(steps(trainer, seconds / slices))
            end()
            steps(trainer, 1.0)  # the sender catches up: that is neither good nor bad times
            good.append(steps(trainer, seconds / slices))
        found[name] = compare(good, bad)
        say(f"{name}: {found[name]}")
    trainer.stdin.write("end\n")
    found["finished"] = json.loads(trainer.stdout.readline())
    trainer.wait(120)
    return found


def compare(good: list[list[float]], bad: list[list[float]]) -> dict[str, Any]:
    """Of each bad slice the median step against that of its neighbours; of those the median, in percent."""
    ratios = []
    for before, during, after in zip(good, bad, good[1:], strict=False):
        neighbours = (statistics.median(before) + statistics.median(after)) / 2
        ratios.append(statistics.median(during) / neighbours)
    return {
        "percent": round((statistics.median(ratios) - 1) * 100, 3),
        "step_ms_well": round(statistics.median(sum(good, [])) * 1e3, 4),
        "step_ms_in_trouble": round(statistics.median(sum(bad, [])) * 1e3, 4),
        "steps": sum(map(len, bad)),
    }


def steps(trainer: Any, seconds: float) -> list[float]:
    """Seconds of each step that the trainer makes in this time."""
    trainer.stdin.write(f"{seconds}\n")
    return list(json.loads(trainer.stdout.readline()))


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
