"""`python -m tests.faults.failpoints [--times N]`: a writer dies at each failpoint in turn, N times each; JSON last."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.faults import FAILPOINTS
from tests.faults.lab import Lab
from tests.faults.workload import Workload

_PATIENCE_S = 12.0
"""For a writer to start and come to its failpoint."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.failpoints", description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="failpoints-"))
    lab = Lab(folder / "lab", 1).start()
    lab.kill("writer-2")  # all of the work is writer-1's, so that it comes to every point soon
    seconds = 120 + arguments.times * len(FAILPOINTS) * _PATIENCE_S  # it is told to end before
    workload = Workload(folder / "load", lab.nodes(), "points", "r", 1, seconds=seconds, rows_per_s=20, runs=2)
    deaths = dict.fromkeys(FAILPOINTS, 0)
    try:
        workload.start()
        workload.wait_logging()
        for point in FAILPOINTS:
            for time_ in range(arguments.times):
                lab.kill("writer-1")
                lab.launch("writer-1", {"RUNSTREAM_FAILPOINTS": f"{point}:kill:{time_ % 3 + 1}"})
                deaths[point] += died(lab)
            print(f"{point}: died {deaths[point]} of {arguments.times} times", flush=True)
        for stream in workload.streams:
            stream.attempts[-1].process.terminate()
        lab.heal()
        workload.wait()
        problems = workload.sync()
        lab.wait_settled(workload.project, workload.runs, 60)
        findings = lab.checker.compare(workload)
        lab.checker.check_verdicts(workload, findings)
    finally:
        workload.end()
        lab.stop()
    for line in [*findings.examples, *problems]:
        print(line, file=sys.stderr)
    names = ("points", "missing", "doubled", "wrong", "incomplete")
    print(json.dumps({"deaths": deaths, **{name: getattr(findings, name) for name in names}}))
    return 0 if findings.clean and min(deaths.values()) == arguments.times else 1


def died(lab: Lab) -> bool:
    """Whether the writer came to its failpoint."""
    deadline = time.monotonic() + _PATIENCE_S
    while lab.services["writer-1"].running():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


if __name__ == "__main__":
    sys.exit(main())
