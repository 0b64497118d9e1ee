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
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.fuzz.ports import fuzz_ports
from tests.fuzz.targets import TARGETS

PORTS = "ports"


def fuzz(names: Sequence[str], runs: int, seed: int) -> list[dict[str, Any]]:
    """Fuzz each target for `runs` inputs, in one process. Raises nothing: what was found is in the answers."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        command = [sys.executable, "-m", "tests.fuzz.one", str(runs), str(seed), folder, *names]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return [_result(name, Path(folder) / f"{name}.log", done.stderr) for name in names]


def _result(name: str, log: Path, errors: str) -> dict[str, Any]:
    """What the fuzzer said. `errors`: of the process, where the target was not begun."""
    text = log.read_text("utf-8", "replace") if log.exists() else errors
    peak = re.search(r"stat::peak_rss_mb:\s+(\d+)", text)
    executed = re.search(r"stat::number_of_executed_units:\s+(\d+)", text)
    ok = text.endswith("\nstatus 0\n")
    return {
        "target": name,
        "inputs": int(executed[1]) if executed else 0,
        "peak_rss_mb": int(peak[1]) if peak else 0,
        "ok": ok,
        **({} if ok else {"found": text[-4000:]}),
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
        return fuzz_ports(to_ports, arguments.seed) if name == PORTS else fuzz([name], share, arguments.seed)[0]

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(play, names))
    for result in results:
        if not result["ok"]:
            print(result.pop("found"), file=sys.stderr)
    print(json.dumps({"inputs": sum(result["inputs"] for result in results), "targets": results}))
    return 0 if all(result["ok"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
