"""`python -m tests.fuzz --inputs N --seed S`: N inputs, shared among all targets, two at a time; JSON last.

The functions that read bytes from outside are fuzzed by coverage (`targets`); a twentieth goes to the listening ports
of a real stack (`ports`).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.fuzz.ports import fuzz_ports
from tests.fuzz.targets import TARGETS

PORTS = "ports"


def fuzz(name: str, runs: int, seed: int) -> dict[str, Any]:
    """Raises nothing: what was found is in the answer."""
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz.one", name, str(runs), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    peak = re.search(r"stat::peak_rss_mb:\s+(\d+)", done.stderr)
    executed = re.search(r"stat::number_of_executed_units:\s+(\d+)", done.stderr)
    return {
        "target": name,
        "inputs": int(executed[1]) if executed else 0,
        "peak_rss_mb": int(peak[1]) if peak else 0,
        "seconds": round(time.monotonic() - started, 1),
        "ok": done.returncode == 0,
        **({} if done.returncode == 0 else {"found": done.stderr[-4000:]}),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="targets whose name contains this")
    arguments = parser.parse_args()
    names = [name for name in (PORTS, *TARGETS) if arguments.only in name]
    to_ports = arguments.inputs // 20 if PORTS in names else 0
    share = (arguments.inputs - to_ports) // max(len(names) - bool(to_ports), 1) + 1

    def play(name: str) -> dict[str, Any]:
        return fuzz_ports(to_ports, arguments.seed) if name == PORTS else fuzz(name, share, arguments.seed)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(play, names))
    for result in results:
        if not result["ok"]:
            print(result.pop("found"), file=sys.stderr)
    print(json.dumps({"inputs": sum(result["inputs"] for result in results), "targets": results}))
    return 0 if all(result["ok"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
