"""The pipeline's benchmark: `python -m tests.bench.pipeline [--quick]`. Prints JSON last.

From `log()` in four SDK processes to stored in ClickHouse: points/s, freshness, CPU by process, bytes a point;
embedded, and through a real Kafka; and, in the same run, Arrow inserts of the same rows straight into the same
ClickHouse, so that the pipeline is reported as a fraction of what the engine can do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from runstream_common.clickhouse.client import ArrowInserter, connect
from tests.bench.engine import engine_points_per_s
from tests.bench.meters import CpuMeter, MemoryMeter
from tests.support.kafka import KafkaCluster
from tests.support.stack import ServiceStack, clean_environment

PROCESSES = 4
METRICS = 100
LOAD = Path(__file__).with_name("load.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="embedded only, within 40 s on 2 cores")
    parser.add_argument("--points", type=int, help="points of the throughput part")
    parser.add_argument("--soak-s", type=float, default=0.0, help="then load for so long, report memory")
    arguments = parser.parse_args()
    points = arguments.points or (6_000_000 if arguments.quick else 30_000_000)
    results: dict[str, Any] = {"cores": os.cpu_count(), "processes": PROCESSES, "metrics_a_row": METRICS}
    with tempfile.TemporaryDirectory(prefix="runstream-bench-") as folder:
        results["embedded"] = measure(Path(folder) / "embedded", "", points, arguments.quick, arguments.soak_s)
        results["bytes_per_point"] = results["embedded"].pop("bytes_per_point")
        if not arguments.quick:
            with KafkaCluster(Path(folder) / "kafka-node") as kafka:
                results["kafka"] = measure(Path(folder) / "kafka", kafka.bootstrap, points // 2, False, 0.0)
                results["kafka"].pop("bytes_per_point")
    print(json.dumps(results, indent=1))


def measure(folder: Path, kafka: str, points: int, quick: bool, soak_s: float) -> dict[str, Any]:
    stack = ServiceStack(folder, kafka).start(query=False)
    try:
        say(f"{'Kafka' if kafka else 'embedded'}: the engine alone, {points:,} points")
        limits = [engine(stack, points, 2)]
        say(f"  {limits[0]:,.0f} points/s")
        say(f"log() to stored: {points:,} points from {PROCESSES} processes")
        found = throughput(stack, points)
        say(f"  {found['points_per_s']:,.0f} points/s")
        if not quick:
            limits += [engine(stack, points, 1), engine(stack, points, 2)]
            say(f"  the engine again, one insert at a time: {limits[1]:,.0f}, two: {limits[2]:,.0f} points/s")
        found["engine_points_per_s"] = round(max(limits))
        found["engine_fraction"] = round(found["points_per_s"] / max(limits), 3)
        say("freshness at 100,000 points/s")
        found |= freshness(stack, 8.0 if quick else 20.0)
        found["bytes_per_point"] = bytes_per_point(stack)
        if soak_s:
            found["soak"] = soak(stack, soak_s)
        return found
    finally:
        stack.stop()


def throughput(stack: ServiceStack, points: int) -> dict[str, Any]:
    """Start of logging to the last point visible in ClickHouse."""
    rows = points // PROCESSES // METRICS
    cpu = CpuMeter({name: service.pid for name, service in pids(stack).items()})
    reports, sender = load(stack, rows, 0, "throughput")
    total = sum(report["points"] for report in reports)
    count = wait_stored(stack, "throughput", total)
    finished = time.time()
    used = cpu.used()
    # Acked means stored (embedded): the last ack is the end. Through Kafka: when the last point is visible.
    end = finished if stack.kafka else max(report["finished"] for report in reports)
    seconds = end - min(report["started"] for report in reports)
    used["sdk"] = sum(report["cpu_s"] for report in reports)
    used["sender"] = sender["cpu_s"]
    return {
        "points": count,
        "seconds": round(seconds, 3),
        "points_per_s": round(total / seconds),
        "cpu_s_per_million_points": {name: round(value / total * 1e6, 3) for name, value in used.items()},
        "sender_rss_mb": round(sender["rss_mb"], 1),
        "sdk_rss_mb": round(max(report["rss_mb"] for report in reports), 1),
    }


def freshness(stack: ServiceStack, seconds: float, rate: int = 250) -> dict[str, Any]:
    """Time from log() to visible, of every row of a metric that says when it was logged. `rate`: rows a second of each
    process."""
    seen: list[float] = []
    stop = threading.Event()
    watcher = threading.Thread(target=watch_probe, args=(stack, stop, seen))
    watcher.start()
    try:
        load(stack, int(rate * seconds), rate, "freshness")
    finally:
        stop.set()
        watcher.join()
    ordered = sorted(seen)
    return {
        "freshness_points_per_s": rate * PROCESSES * (METRICS + 1),
        "freshness_p50_s": round(statistics.median(ordered), 3),
        "freshness_p99_s": round(ordered[int(len(ordered) * 0.99)], 3),
        "freshness_samples": len(ordered),
    }


def watch_probe(stack: ServiceStack, stop: threading.Event, seen: list[float]) -> None:
    """When does each new row of rank 0 become visible? A step that is seen brought all before it along."""
    client = stack.clickhouse.client()
    last = -1
    query = (
        "SELECT step, value FROM points WHERE project = 'main/bench' AND run = 'freshness' AND metric = 'probe' "
        "AND rank = 0 AND step > {last:Int64} ORDER BY step"
    )
    while not stop.is_set():
        rows = client.query(query, parameters={"last": last}).result_rows
        now = time.time()
        for step, logged in rows:
            seen.append(now - logged)
            last = step
        time.sleep(0.01)


def soak(stack: ServiceStack, seconds: float) -> dict[str, Any]:
    """The writer's memory over a long load."""
    writer = stack.services["writer" if stack.kafka else "ingest"]
    meter = MemoryMeter(writer.pid)
    rate = 1000
    say(f"soak: {rate * PROCESSES * METRICS:,} points/s for {seconds:g} s")
    thread = threading.Thread(target=meter.watch, args=(5.0,))
    thread.start()
    load(stack, int(rate * seconds), rate, "soak")
    meter.stop()
    thread.join()
    return meter.report()


def load(stack: ServiceStack, rows: int, rate: int, run: str) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Run the SDK processes to their end; their reports, and what their node's sender used."""
    spool = stack.folder / f"spool-{run}"
    environment = {**clean_environment(), **stack.sdk_environment(spool)}
    processes = [
        subprocess.Popen(
            [sys.executable, str(LOAD), str(rank), str(PROCESSES), str(METRICS), str(rows), str(rate), run],
            env=environment,
            stdout=subprocess.PIPE,
        )
        for rank in range(PROCESSES)
    ]
    meter = CpuMeter.of_sender(spool)
    reports = []
    for process in processes:
        out, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"an SDK process failed with status {process.returncode}")
        reports.append(json.loads(out))
    if not all(report["stored"] for report in reports):
        raise SystemExit("finish() timed out: the pipeline did not keep up")
    return reports, meter.sender()


def engine(stack: ServiceStack, points: int, at_once: int) -> float:
    async def run() -> float:
        client = await connect(stack.clickhouse.config)
        try:
            return await engine_points_per_s(client, ArrowInserter(client), METRICS, points, at_once)
        finally:
            await client.close()

    return asyncio.run(run())


def wait_stored(stack: ServiceStack, run: str, total: int, timeout_s: float = 120.0) -> int:
    client = stack.clickhouse.client()
    deadline = time.monotonic() + timeout_s
    while True:
        query = "SELECT count() FROM points WHERE project = 'main/bench' AND run = {run:String}"
        count = int(client.query(query, parameters={"run": run}).result_rows[0][0])
        if count >= total:
            return count
        if time.monotonic() > deadline:
            raise SystemExit(f"only {count} of {total} points are visible after {timeout_s:g} s")
        time.sleep(0.05)


def bytes_per_point(stack: ServiceStack) -> float:
    client = stack.clickhouse.client()
    client.command("OPTIMIZE TABLE points FINAL")
    query = "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND table = 'points'"
    return round(float(client.query(query).result_rows[0][0]), 2)


def pids(stack: ServiceStack) -> dict[str, Any]:
    return {**stack.services, "clickhouse": stack.clickhouse.service}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
