"""How long a verdict takes: of one long run, and of every run of a project. Used by `tests.bench.reliability`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from runstream.api import Api
from runstream_common.clickhouse.client import connect
from runstream_ingestor.writer.decode import DecodedBatch
from runstream_ingestor.writer.duplicate_steps import find_replaced
from runstream_ingestor.writer.flush import prepare
from runstream_ingestor.writer.highest_steps import HighestSteps
from tests.bench.pipeline import METRICS, say
from tests.support.ledger import Attempt, put
from tests.support.stack import ServiceStack

_ROWS_A_BATCH = 1000
_BATCHES_A_FLUSH = 5
_TIMES = 3
_PROJECT, _LONG = "verdicts", "long"


def verdicts(folder: Path, points: int, runs: int, points_a_run: int) -> dict[str, Any]:
    """Seconds until `Api` has the verdict of a run of `points`, and those of `runs` runs of `points_a_run`; the best of
    three each. Rows are put in by the writer's own parts, and nothing is merged by hand."""
    stack = ServiceStack(folder).start()
    try:
        for name in (_LONG, _PROJECT):
            stack.make_project(name)
        say(f"storing a run of {points:,} points, and {runs:,} of {points_a_run:,}")
        asyncio.run(_fill(stack, points, runs, points_a_run))
        os.environ.update(stack.sdk_environment(folder / "spool"))
        api = Api(timeout_s=120)
        engine = psutil.Process(stack.clickhouse.service.pid)
        run_s, run_cpu_s = _best(engine, lambda: [api.run(f"{_LONG}/run").completeness], points)
        project_s, project_cpu_s = _best(
            engine, lambda: [found for _, found in api.verdicts(_PROJECT)], runs * points_a_run
        )
        say(f"verify: a run of {points:,} points {run_s:.2f} s, a project of {runs:,} runs {project_s:.2f} s")
        return {
            "verify_run_points": points,
            "verify_run_s": run_s,
            "verify_run_engine_cpu_s": run_cpu_s,
            "verify_project_runs": runs,
            "verify_project_points": runs * points_a_run,
            "verify_project_s": project_s,
            "verify_project_engine_cpu_s": project_cpu_s,
            **_cost(),
        }
    finally:
        stack.stop()


def _best(engine: psutil.Process, ask: Callable[[], list[dict[str, Any]]], points: int) -> tuple[float, float]:
    """Seconds by the clock, and of the engine's processors."""
    best, best_cpu = float("inf"), float("inf")
    for _ in range(_TIMES):
        used, started = _cpu_s(engine), time.perf_counter()
        found = ask()
        best = min(best, time.perf_counter() - started)
        best_cpu = min(best_cpu, _cpu_s(engine) - used)
        if {one["verdict"] for one in found} != {"complete"} or sum(one["rows_proved"] for one in found) != points:
            raise SystemExit(f"not complete: {found[:1]}")
    return round(best, 2), round(best_cpu, 2)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _cost() -> dict[str, float]:
    """What proofs cost the writer before it inserts: its processor time with the ledger and without, same batches."""
    batches = list(_batches(Attempt("main", _LONG, "run"), _ROWS_A_BATCH * METRICS * _BATCHES_A_FLUSH))
    seconds: dict[bool, float] = {}
    for ledger in (False, True) * _TIMES:
        tops, started = HighestSteps(), time.process_time()
        if ledger:
            for decoded in batches:
                tops.mark(decoded)
                find_replaced([decoded])
        prepare(batches, [], ledger)
        seconds[ledger] = min(seconds.get(ledger, float("inf")), time.process_time() - started)
    points = sum(decoded.batch.points for decoded in batches)
    return {
        "ledger_prepare_ratio": round(seconds[True] / seconds[False], 3),
        "ledger_ns_a_point": round((seconds[True] - seconds[False]) / points * 1e9, 1),
    }


async def _fill(stack: ServiceStack, points: int, runs: int, points_a_run: int) -> None:
    client = await connect(stack.clickhouse.config)
    try:
        await _store(client, Attempt("main", _LONG, "run"), points)
        pending: list[DecodedBatch] = []
        for number in range(runs):
            pending += _batches(Attempt("main", _PROJECT, f"run-{number:04}"), points_a_run)
            if len(pending) > 100 or number == runs - 1:
                await put(client, *pending)
                pending = []
    finally:
        await client.close()


async def _store(client: Any, attempt: Attempt, points: int) -> None:
    pending: list[DecodedBatch] = []
    for batch in _batches(attempt, points):
        pending.append(batch)
        if len(pending) == _BATCHES_A_FLUSH:
            await put(client, *pending)
            pending = []
    await put(client, *pending)


def _batches(attempt: Attempt, points: int) -> Iterator[DecodedBatch]:
    random = np.random.default_rng(attempt.epoch)
    names = [f"layer.{number}.norm" for number in range(METRICS)]
    yield attempt.start()
    steps = points // METRICS
    for first in range(0, steps, _ROWS_A_BATCH):
        some = range(first, min(first + _ROWS_A_BATCH, steps))
        yield attempt.points({name: random.normal(size=len(some)) for name in names}, some)

    def finish(record: Any) -> None:
        record.finish.outcome, record.finish.records, record.finish.points = 1, attempt.records - 1, points

    yield attempt.document(finish)
