"""What reliability costs and how fast it acts: `python -m tests.bench.reliability [--quick]`. Prints JSON last.

`proofs_percent`: throughput lost to deduplication tokens and ledger together, against the same pipeline with both off,
in turn. `takeover_s`: from the SIGKILL of a writer under 200,000 points/s until every rank's newest point is visible
again within 1.5 s. `freshness`: p99 at 200,000 points/s in the quiet state. `outage`: resident memory of gateway and
writer while ClickHouse is away under load, and how long the writer then needs to catch up. `verify_run_s`,
`verify_project_s`: until `Api` has the verdict of a run of 20 million points, and those of 1000 runs of 10,000 points,
also in seconds of the engine's processors. `ledger_prepare_ratio`: what the ledger's digests cost the writer's process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from tests.bench.pipeline import METRICS, PROCESSES, freshness, load, say, throughput, wait_stored
from tests.bench.verdicts import verdicts
from tests.support.kafka import KafkaCluster
from tests.support.processes import Service, free_port
from tests.support.stack import ServiceStack

_OFF = {"RUNSTREAM_WRITER_DEDUP_TOKENS": "false", "RUNSTREAM_WRITER_LEDGER": "false"}
_OVER_KAFKA = ("freshness", "takeover", "outage")
_FRESH_S = 1.5
RATE = 500
"""Rows a second of each of four processes, 100 metrics a row: 200,000 points/s."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, within two minutes")
    parser.add_argument("--only", default="", choices=("", "proofs", "verify", *_OVER_KAFKA))
    arguments = parser.parse_args()
    quick = arguments.quick
    results: dict[str, Any] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory(prefix="runstream-bench-") as folder:
        root = Path(folder)
        if arguments.only in ("", "proofs"):
            results |= proofs(root, 4_000_000 if quick else 10_000_000, 2 if quick else 4)
        if arguments.only in ("", "verify"):
            results |= verdicts(root / "verdicts", *((2_000_000, 100, 10_000) if quick else (20_000_000, 1000, 10_000)))
        if arguments.only in ("", *_OVER_KAFKA):
            with KafkaCluster(root / "kafka-node") as kafka:
                if arguments.only in ("", "freshness"):
                    results["freshness"] = {
                        "embedded": quiet(root / "quiet", "", 8 if quick else 20),
                        "kafka": quiet(root / "quiet-kafka", kafka.bootstrap, 8 if quick else 20),
                    }
                if arguments.only in ("", "takeover"):
                    results |= takeover(root / "takeover", kafka.bootstrap, 1 if quick else 3)
                if arguments.only in ("", "outage"):
                    results["outage"] = outage(root / "outage", kafka.bootstrap, 20.0 if quick else 300.0)
    print(json.dumps(results, indent=1))


def proofs(root: Path, points: int, times: int) -> dict[str, Any]:
    """In turn, on a fresh stack each: with both, without both."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    for number in range(times):
        for on in (True, False) if number % 2 else (False, True):
            stack = ServiceStack(root / f"proofs-{number}-{on}")
            stack.extra.update({} if on else _OFF)
            stack.start(query=False)
            try:
                rates[on].append(throughput(stack, points)["points_per_s"])
            finally:
                stack.stop()
            say(f"tokens and ledger {'on' if on else 'off'}: {rates[on][-1]:,.0f} points/s")
    on, off = (statistics.median(rates[which]) for which in (True, False))
    return {
        "proofs_percent": round((off - on) / off * 100, 1),
        "points_per_s_with": round(on),
        "points_per_s_without": round(off),
    }


def quiet(folder: Path, kafka: str, seconds: float) -> dict[str, Any]:
    stack = ServiceStack(folder, kafka).start(query=False)
    try:
        found = freshness(stack, seconds, RATE)
        say(f"freshness {'through Kafka' if kafka else 'embedded'}: p99 {found['freshness_p99_s']} s")
        return {name.removeprefix("freshness_"): value for name, value in found.items()}
    finally:
        stack.stop()


def takeover(folder: Path, kafka: str, times: int) -> dict[str, Any]:
    """Two writers; one dies, the other takes over."""
    stack = ServiceStack(folder, kafka)
    stack.extra["RUNSTREAM_KAFKA_TOPIC"] = "takeover"
    stack.extra["RUNSTREAM_KAFKA_GROUP"] = "takeover"
    stack.start(query=False)
    writers = [stack.services["writer"], second_writer(stack)]
    stack.services["writer-2"] = writers[1]
    found: list[float] = []
    loader = threading.Thread(target=load, args=(stack, RATE * (20 + 60 * times), RATE, "takeover"))
    loader.start()
    client = stack.clickhouse.client()
    try:
        wait_fresh(client, 30)
        for number in range(2 * times):
            if len(found) == times:
                break
            time.sleep(3)
            victim = writers[number % 2]
            victim.kill()
            killed = time.monotonic()
            if not went_stale(client, 9):
                say("the writer that died had no partition of the load: the other one is next")
            else:
                wait_fresh(client, 90)
                found.append(time.monotonic() - killed)
                say(f"taken over and caught up after {found[-1]:.1f} s")
            victim.start()
            wait_fresh(client, 60)
    finally:
        loader.join()
        stack.services["writer-2"].stop()
        stack.stop()
    return {"takeover_s": [round(seconds, 1) for seconds in found]}


def second_writer(stack: ServiceStack) -> Service:
    port = free_port()
    environment = {**stack.environment, "RUNSTREAM_WRITER_OPS": f"127.0.0.1:{port}"}
    service = Service("runstream_ingestor.writer", stack.folder / "writer-2.log", environment).start()
    service.wait_answering(f"http://127.0.0.1:{port}/healthz")
    return service


def oldest_s(client: Any) -> float:
    """Age of the newest visible point, of the rank that is most behind, seconds."""
    rows = client.query(
        "SELECT rank, argMax(value, step) FROM points WHERE project = 'main/bench' AND run = 'takeover' "
        "AND metric = 'probe' GROUP BY rank"
    ).result_rows
    return time.time() - min(row[1] for row in rows) if len(rows) == PROCESSES else 1e9


def wait_fresh(client: Any, timeout_s: float) -> None:
    """Until every rank has been fresh for two seconds."""
    deadline, since = time.monotonic() + timeout_s, 0.0
    while time.monotonic() < deadline:
        fresh = oldest_s(client) < _FRESH_S
        since = (since or time.monotonic()) if fresh else 0.0
        if since and time.monotonic() - since > 1.0:
            return
        time.sleep(0.1)
    raise SystemExit(f"not every rank was fresh within {timeout_s:g} s")


def went_stale(client: Any, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if oldest_s(client) > 2 * _FRESH_S:
            return True
        time.sleep(0.1)
    return False


def outage(folder: Path, kafka: str, seconds: float) -> dict[str, Any]:
    """ClickHouse is killed while four processes log 400,000 points/s, and comes back."""
    stack = ServiceStack(folder, kafka)
    stack.extra["RUNSTREAM_KAFKA_TOPIC"] = "outage"
    stack.extra["RUNSTREAM_KAFKA_GROUP"] = "outage"
    stack.start(query=False)
    rate = 2 * RATE
    rows = int(rate * (seconds + 10))
    parts = {name: psutil.Process(stack.services[name].pid) for name in ("gateway", "writer")}
    samples: dict[str, list[float]] = {name: [] for name in parts}
    loader = threading.Thread(target=load, args=(stack, rows, rate, "outage"))
    try:
        loader.start()
        time.sleep(8)
        stack.clickhouse.service.kill()
        say(f"ClickHouse is away for {seconds:g} s")
        ended = time.monotonic() + seconds
        while time.monotonic() < ended:
            for name, process in parts.items():
                samples[name].append(process.memory_info().rss / 2**20)
            time.sleep(1)
        stack.clickhouse.service.start()
        back = time.monotonic()
        loader.join()
        total = rows * PROCESSES * (METRICS + 1)
        wait_stored(stack, "outage", total, 900)
        caught_up = time.monotonic() - back
    finally:
        loader.join()
        stack.stop()
    say(f"caught up with {total:,} points after {caught_up:.0f} s")
    return {
        "seconds": seconds,
        "points_per_s": rate * PROCESSES * (METRICS + 1),
        **{f"{name}_mb_first": round(statistics.mean(found[:5]), 1) for name, found in samples.items()},
        **{f"{name}_mb_last": round(statistics.mean(found[-5:]), 1) for name, found in samples.items()},
        **{f"{name}_mb_max": round(max(found), 1) for name, found in samples.items()},
        "points": total,
        "caught_up_s": round(caught_up, 1),
    }


if __name__ == "__main__":
    main()
