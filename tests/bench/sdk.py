"""The SDK's benchmark: `python -m tests.bench.sdk [--quick]`. Prints JSON last.

Latency of `log()` for 1, 10, 100 and 1000 metrics with the sender running against a live gateway, points/s into the
spool, import time, memory over a bare interpreter, the sender's memory at eight ranks and its CPU, the cost to a numpy
training loop; and, without --quick, the same loops against W&B, Neptune Scale, Trackio, tensorboardX, MLflow and Aim,
each in a virtual environment of its own under .bench/peers (made on the first run), side by side with ours, as ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench import peers
from tests.bench.meters import CpuMeter
from tests.support.stack import ServiceStack, clean_environment

WIDTHS = (1, 10, 100, 1000)
LOOP = Path(__file__).with_name("log_loop.py")
ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the peers, within 40 s on 2 cores")
    parser.add_argument("--peers", nargs="*", default=list(peers.PEERS), help="which of them")
    parser.add_argument("--plot", type=Path, help="draw log() against the peers into this PNG")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="runstream-bench-") as folder:
        results = measure(Path(folder), arguments.quick, arguments.peers)
    if arguments.plot:
        draw(results, arguments.plot)
    print(json.dumps(results, indent=1))


def measure(folder: Path, quick: bool, wanted: list[str]) -> dict[str, Any]:
    results: dict[str, Any] = {"cores": os.cpu_count(), "python": sys.version.split()[0]}
    results["import_ms"] = import_ms(5 if quick else 15)
    say(f"import: {results['import_ms']} ms")
    stack = ServiceStack(folder / "stack").start(query=False)
    try:
        results["log_us"] = latencies(stack, folder, 1 if quick else 3)
        results |= spool_and_memory(stack, folder, quick)
        results |= sender_of_eight(stack, folder, quick)
        results["training_loop_percent"] = training_cost(stack, folder, 3 if quick else 9)
        if not quick:
            results["peers"] = compare(stack, folder, wanted)
    finally:
        stack.stop()
    return results


def import_ms(rounds: int) -> float:
    """Of `import runstream`, in a fresh interpreter; the median."""
    code = "import time; t = time.perf_counter(); import runstream; print((time.perf_counter() - t) * 1e3)"
    return round(statistics.median(float(python("-c", code)) for _ in range(rounds)), 2)


def latencies(stack: ServiceStack, folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds by width; of several rounds the median of each percentile."""
    found: dict[str, dict[str, float]] = {}
    for width in WIDTHS:
        runs = [loop("runstream", width, stack, folder) for _ in range(rounds)]
        found[str(width)] = {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]["names"]}
        say(f"log() of {width} metrics: {found[str(width)]}")
    return found


def spool_and_memory(stack: ServiceStack, folder: Path, quick: bool) -> dict[str, Any]:
    """One process that logs rows of 100 metrics as fast as it can; and one that logs little, for its memory."""
    environment = sdk_environment(stack, folder, "fast")
    cpu = CpuMeter.of_sender(folder / "fast")
    report = json.loads(python(str(LOOP), "throughput", "100", "20000" if quick else "60000", environment=environment))
    wait_for_sender(folder / "fast")
    points = report["points"]
    bare = float(python("-c", RSS + "print(rss())"))
    small = json.loads(python(str(LOOP), "memory", "10", "5000", environment=sdk_environment(stack, folder, "small")))
    found = {
        "spool_points_per_s": round(points / report["seconds"]),
        "sdk_cpu_s_per_million_points": round(report["cpu_s"] / points * 1e6, 3),
        "sender_cpu_s_per_million_points": round(cpu.sender()["cpu_s"] / points * 1e6, 3),
        "memory_mb": round(small["rss_mb"] - bare, 2),
        "bare_interpreter_mb": round(bare, 2),
    }
    say(str(found))
    return found


def sender_of_eight(stack: ServiceStack, folder: Path, quick: bool) -> dict[str, Any]:
    """The node's sender while eight ranks log 10 metrics 100 times a second each."""
    environment = {**sdk_environment(stack, folder, "eight"), "RUNSTREAM_RUN_ID": "eight"}
    seconds = "5" if quick else "20"
    ranks = [
        subprocess.Popen(
            [sys.executable, str(LOOP), "steady", "10", seconds],
            env={**environment, "RUNSTREAM_RANK": str(rank), "RUNSTREAM_WORLD_SIZE": "8"},
            stdout=subprocess.DEVNULL,
        )
        for rank in range(8)
    ]
    meter = CpuMeter.of_sender(folder / "eight")
    for rank in ranks:
        if rank.wait():
            raise RuntimeError("a rank failed")
    found = {"sender_mb_at_8_ranks": round(meter.sender()["rss_mb"], 1)}
    say(str(found))
    return found


def training_cost(stack: ServiceStack, folder: Path, rounds: int) -> float:
    """How much longer a numpy training loop takes that logs 10 metrics a step, in percent: interleaved halves of one
    process, the median over rounds."""
    costs = [
        json.loads(python(str(LOOP), "training", "10", "150", environment=sdk_environment(stack, folder, f"t{number}")))
        for number in range(rounds)
    ]
    found = round(statistics.median(cost["percent"] for cost in costs), 3)
    say(f"a numpy training loop of {costs[0]['step_ms']:.1f} ms a step takes {found} % longer")
    return found


def compare(stack: ServiceStack, folder: Path, wanted: list[str]) -> dict[str, Any]:
    """Each peer's log() beside ours of the same moment, as p50 and as a ratio (how many times ours)."""
    found: dict[str, Any] = {}
    for name in wanted:
        problem = peers.install(name, ROOT / ".bench" / "peers", say)
        if problem:
            found[name] = {"error": problem}
            continue
        by_width: dict[str, Any] = {}
        for width in (10, 1000):
            pairs = []
            for _ in range(3):
                theirs = loop(name, width, stack, folder)
                ours = loop("runstream", width, stack, folder)
                pairs.append((theirs["p50"], ours["p50"], theirs["p99"]))
            by_width[str(width)] = {
                "p50_us": round(statistics.median(pair[0] for pair in pairs), 2),
                "p99_us": round(statistics.median(pair[2] for pair in pairs), 2),
                "times_ours": round(statistics.median(theirs / ours for theirs, ours, _ in pairs), 1),
            }
        found[name] = {"version": peers.version(name, ROOT / ".bench" / "peers"), **by_width}
        say(f"{name}: {found[name]}")
    return found


def loop(library: str, width: int, stack: ServiceStack, folder: Path) -> dict[str, Any]:
    """One process that times each call of a loop of `log()`."""
    calls = {1: 20_000, 10: 20_000, 100: 10_000, 1000: 2_000}[width]
    work = Path(tempfile.mkdtemp(dir=folder))
    if library == "runstream":
        interpreter, environment = sys.executable, sdk_environment(stack, work, "spool")
    else:
        interpreter = str(ROOT / ".bench" / "peers" / library / "bin" / "python")
        environment = {**clean_environment(), **peers.environment(library, work)}
        calls = max(min(calls, peers.PEERS[library].calls) // (20 if width == 1000 else 1), 50)
    text = python(
        str(LOOP), "latency", str(width), str(calls), library, str(work), environment=environment, exe=interpreter
    )
    return dict(json.loads(text.splitlines()[-1]))


def sdk_environment(stack: ServiceStack, folder: Path, name: str) -> dict[str, str]:
    found = {**clean_environment(), **stack.sdk_environment(folder / name), "PYTHONPATH": str(ROOT)}
    for variable in ("RUNSTREAM_SYSTEM_METRICS", "RUNSTREAM_CONSOLE"):
        found.pop(variable)  # as users have it
    return found


RSS = """
def rss():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
"""


def python(*arguments: str, environment: dict[str, str] | None = None, exe: str = sys.executable) -> str:
    done = subprocess.run([exe, *arguments], capture_output=True, text=True, env=environment, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()


def wait_for_sender(spool: Path) -> None:
    """Until it has sent everything, so that its CPU is all counted."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and any((spool / "streams").iterdir()):
        time.sleep(0.1)
    time.sleep(0.3)


def draw(results: dict[str, Any], path: Path) -> None:
    """log() of 10 and 1000 metrics, ours and the peers', on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ours = {width: results["log_us"][width]["p50"] for width in ("10", "1000")}
    rows = [("runstream", ours)]
    for name, found in results.get("peers", {}).items():
        if "error" not in found:
            rows.append((peers.PEERS[name].title, {width: found[width]["p50_us"] for width in ("10", "1000")}))
    rows.sort(key=lambda row: -row[1]["10"])
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.45 * len(rows) + 1.6), sharey=True)
    for place, width in enumerate(("10", "1000")):
        names = [name for name, _ in rows]
        values = [found[width] for _, found in rows]
        colours = ["#2563eb" if name == "runstream" else "#9ca3af" for name in names]
        bars = axes[place].barh(names, values, color=colours)
        labels = [f"{value:,.1f} µs" if value < 1000 else f"{value / 1000:,.1f} ms" for value in values]
        axes[place].bar_label(bars, labels, padding=4, fontsize=9)
        axes[place].set_xscale("log")
        axes[place].set_xlim(1, max(values) * 12)
        axes[place].set_title(f"one log() of {width} metrics, median", fontsize=11, loc="left")
        axes[place].spines[["top", "right"]].set_visible(False)
        axes[place].tick_params(labelsize=9)
        axes[place].set_xlabel("microseconds, logarithmic", fontsize=9)
    figure.text(0.01, 0.01, "python -m tests.bench.sdk: same machine, same run, 2 cores", fontsize=8)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
