"""How fast sweeps hand out trials, and how good these are: `python -m tests.bench.sweeps [--quick]`. Prints JSON last.

`sqlite`, `postgres`: through a real query service; SQLite with synchronous=FULL, PostgreSQL with fsync; the first
second is left out; the worse of a grid and a random search. `leases_per_s`: 200 agents in closed loops, each asking for
one trial again as soon as it has one, so that 200 calls are always under way (`saturated_p99_ms`: how long one then
takes). `lease_p99_ms`: all 200 agents ask at the same moment, twice a second: 400 leases/s. `bayes_suggest_ms`: p95 of
one suggestion with 500 finished trials and more, 8 under way, refits included. `regret`: medians over seeds, `bayes`
and `tpe` after 60 trials by 8 agents at once, `random` after 600.
`grid`: a billion points, from the definition's text to the first three trials.
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
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from runstream_proto.v1 import sweep_pb2 as pb
from runstream_proto.v1 import sweep_pb2_grpc as rpc
from tests.bench.objectives import FUNCTIONS, regret, space_of
from tests.support.postgres import postgres_url
from tests.support.stack import ServiceStack
from tests.support.sweeps import SweepServer

AGENTS = 200
_CHANNELS = 8
_WARM_UP_S = 1.0
_GRID = {"method": "grid", "parameters": {f"p{n}": {"min": 1, "max": 1000} for n in range(3)}}
_RANDOM = {"method": "random", "parameters": {"lr": {"min": 1e-5, "max": 0.1}, "n": {"min": 1, "max": 10**6}}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within a minute or two")
    parser.add_argument("--only", default="", choices=("", "leases", "suggest", "regret", "grid"))
    arguments = parser.parse_args()
    quick, only = arguments.quick, arguments.only
    results: dict[str, Any] = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    if only in ("", "grid"):
        results["grid"] = fresh(grid_start)
    if only in ("", "suggest"):
        results |= fresh(suggestions, 20 if quick else 100)
    if only in ("", "leases"):
        results |= all_leases(3.0 if quick else 10.0)
    if only in ("", "regret"):
        results["regret"] = fresh(regrets, 4 if quick else 20)
    print(json.dumps(results))


def fresh(function: Any, *arguments: int) -> Any:
    """Its result, from a process of its own, one thread a library."""
    code = f"import json; from tests.bench import sweeps; print(json.dumps(sweeps.{function.__name__}(*{arguments})))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def grid_start() -> dict[str, float]:
    import psutil

    from runstream_query.sweeps import definition
    from runstream_query.sweeps.grid import Grid

    text = json.dumps(_GRID)
    before = psutil.Process().memory_info().rss
    started = time.perf_counter()
    grid = Grid(definition.parse(text).space)
    drawn = grid.draw(1, 0, 3, lambda _: False)
    took_ms = (time.perf_counter() - started) * 1000
    assert grid.limit == 10**9 and len(drawn.proposals) == 3
    return {"start_ms": round(took_ms, 2), "memory_mb": round((psutil.Process().memory_info().rss - before) / 2**20, 2)}


def suggestions(count: int) -> dict[str, Any]:
    from runstream_query.sweeps import chance
    from runstream_query.sweeps.gaussian import Gaussian
    from runstream_query.sweeps.history import History, Result

    function, space = FUNCTIONS["hartmann6"][0], space_of("hartmann6")
    model = Gaussian(space, 1, False)
    started = [next(chance.draws(space, 1, number)) for number in range(1, 501)]
    results = [Result(chosen, (function(chosen),)) for chosen in started]
    pending = [next(chance.draws(space, 2, number)) for number in range(8)]
    model.suggest(1000, History(results[:20], pending))  # the libraries are loaded
    times_ms = []
    for number in range(501, 501 + count):
        before = time.perf_counter()
        chosen = model.suggest(number, History(tuple(results), tuple(pending)))
        times_ms.append((time.perf_counter() - before) * 1000)
        assert chosen is not None
        pending.append(chosen)
        ended = pending.pop(0)
        results.append(Result(ended, (function(ended),)))
    p50, p95, most = np.percentile(times_ms, [50, 95, 100])
    named = {"p50": round(p50, 1), "p95": round(p95, 1), "max": round(most, 1)}
    return {"bayes_suggest_ms": named["p95"], "bayes_suggest": named}


def regrets(seeds: int) -> dict[str, Any]:
    found: dict[str, Any] = {"seeds": seeds}
    for name in FUNCTIONS:
        medians = {}
        for method, trials in (("bayes", 60), ("tpe", 60), ("random", 600)):
            medians[method] = statistics.median(regret(name, method, seed, trials, 8) for seed in range(seeds))
        found[name] = {method: float(f"{value:.4g}") for method, value in medians.items()}
    return found


def all_leases(seconds: float) -> dict[str, Any]:
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        stack = ServiceStack(folder / "stack").start(query=False)
        (folder / "postgres").mkdir()
        try:
            results["sqlite"] = leases(stack, folder / "lite", f"sqlite:///{folder / 'sweeps.db'}", seconds)
            databases: Iterator[str] = postgres_url(folder / "postgres", durable=True)
            results["postgres"] = leases(stack, folder / "pg", next(databases), seconds)
            next(databases, None)
        finally:
            stack.stop()
    return results


def leases(stack: ServiceStack, folder: Path, control_url: str, seconds: float) -> dict[str, Any]:
    server = SweepServer(stack, folder, control_url).start()
    client = server.client()
    try:
        found = {}
        for name, definition in (("grid", _GRID), ("random", _RANDOM)):
            sweep = client.create(definition, "bench").id
            loops = asyncio.run(_drive(server, sweep, seconds, 0.0))
            bursts = asyncio.run(_drive(server, sweep, seconds, 0.5))
            found[name] = {
                "leases_per_s": loops["per_s"],
                "saturated_p99_ms": loops["p99_ms"],
                "burst_leases_per_s": bursts["per_s"],
                "lease_p50_ms": bursts["p50_ms"],
                "lease_p99_ms": bursts["p99_ms"],
            }
    finally:
        client.close()
        server.stop()
    worst_p99 = max(one["lease_p99_ms"] for one in found.values())
    return {"leases_per_s": min(one["leases_per_s"] for one in found.values()), "lease_p99_ms": worst_p99, **found}


async def _drive(server: SweepServer, sweep: str, seconds: float, every_s: float) -> dict[str, float]:
    channels = [grpc.aio.insecure_channel(server.address, [("bench", n)]) for n in range(_CHANNELS)]
    stubs = [rpc.SweepServiceStub(channel) for channel in channels]  # type: ignore[no-untyped-call,unused-ignore]
    metadata = (("authorization", f"Bearer {server.key}"),)
    agents = await asyncio.gather(
        *(
            stubs[n % _CHANNELS].RegisterAgent(pb.RegisterAgentRequest(sweep=sweep, lease_s=600), metadata=metadata)
            for n in range(AGENTS)
        )
    )
    taken: set[int] = set()
    times_ms: list[float] = []
    begun = time.perf_counter()

    async def work(index: int) -> None:
        turn = 0
        while time.perf_counter() - begun < seconds + _WARM_UP_S:
            request = pb.LeaseTrialsRequest(agent=agents[index].id, request_id=uuid.uuid4().hex, wait_s=5)
            before = time.perf_counter()
            answer = await stubs[index % _CHANNELS].LeaseTrials(request, metadata=metadata, timeout=30)
            if before - begun >= _WARM_UP_S:
                times_ms.append((time.perf_counter() - before) * 1000)
            (leased,) = answer.trials
            assert leased.trial.number not in taken
            taken.add(leased.trial.number)
            turn += 1
            if every_s:
                await asyncio.sleep(max(begun + turn * every_s - time.perf_counter(), 0))

    await asyncio.gather(*(work(index) for index in range(AGENTS)))
    took_s = time.perf_counter() - begun - _WARM_UP_S
    for channel in channels:
        await channel.close()
    p50, p99 = np.percentile(times_ms, [50, 99])
    return {
        "per_s": round(len(times_ms) / took_s, 1),
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
    }


if __name__ == "__main__":
    main()
