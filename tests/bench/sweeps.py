"""How fast sweeps hand out trials, and how good these are: `python -m tests.bench.sweeps [--quick]`. Prints JSON last.

`sqlite`, `postgres`: through a real query service; SQLite with synchronous=FULL, PostgreSQL with fsync; the worse of a
grid and a random search. `two_servers`: two query services on the one PostgreSQL, half of the agents at each. 200
agents in four processes, a connection each (`lease_agents.py`); every call counts, the first too. `leases_per_s`:
closed loops, each asking for one trial again as soon as it has one, so that 200 calls are always under way
(`saturated_p99_ms`: how long one then takes). `lease_p99_ms`: all 200 agents ask at the same moment, twice a second:
400 leases/s. `arrival_p99_ms`: from nothing (no connection, no agent) to the first trial, all at once.
`server_cpu_ms`: the service's processor time a lease. `http`: a grid over HTTP, as runstream's own agents ask (the
others: gRPC). `bayes_suggest_ms`: p95 of one suggestion with 500 finished
trials and more, 8 under way, refits included. `regret`: medians over seeds, `bayes` and `tpe` after 60 trials by 8
agents at once, `random` after 600.
`grid`: a billion points, from the definition's text to the first three trials.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.lease_agents import AGENTS, drive
from tests.bench.objectives import FUNCTIONS, regret, space_of
from tests.support.postgres import postgres_url
from tests.support.stack import ServiceStack
from tests.support.sweeps import SweepClient, SweepServer

_BURST_EVERY_S = 0.5
_GRID = {"method": "grid", "parameters": {f"p{n}": {"min": 1, "max": 1000} for n in range(3)}}
_SEARCHES: dict[str, dict[str, Any]] = {
    "grid": _GRID,
    "random": {"method": "random", "parameters": {"lr": {"min": 1e-5, "max": 0.1}, "n": {"min": 1, "max": 10**6}}},
}


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
    from runstream_query.sweeps.search.grid import Grid

    text = json.dumps(_GRID)
    before = psutil.Process().memory_info().rss
    started = time.perf_counter()
    grid = Grid(definition.parse(text).space)
    drawn = grid.draw(1, 0, 3, lambda _: False)
    took_ms = (time.perf_counter() - started) * 1000
    assert grid.limit == 10**9 and len(drawn.proposals) == 3
    return {"start_ms": round(took_ms, 2), "memory_mb": round((psutil.Process().memory_info().rss - before) / 2**20, 2)}


def suggestions(count: int) -> dict[str, Any]:
    from runstream_query.sweeps.search import random_search
    from runstream_query.sweeps.search.gaussian import Gaussian
    from runstream_query.sweeps.search.observations import Observations, Result

    function, space = FUNCTIONS["hartmann6"][0], space_of("hartmann6")
    model = Gaussian(space, 1, False)
    started = [next(random_search.draws(space, 1, number)) for number in range(1, 501)]
    results = [Result(chosen, (function(chosen),)) for chosen in started]
    pending = [next(random_search.draws(space, 2, number)) for number in range(8)]
    model.suggest(1000, Observations(results[:20], pending))  # the libraries are loaded
    times_ms = []
    for number in range(501, 501 + count):
        before = time.perf_counter()
        chosen = model.suggest(number, Observations(tuple(results), tuple(pending)))
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
            lite = SweepServer(stack, folder / "lite", f"sqlite:///{folder / 'sweeps.db'}")
            results["sqlite"] = leases([lite], seconds)
            databases: Iterator[str] = postgres_url(folder / "postgres", durable=True)
            url = next(databases)
            results["postgres"] = leases([SweepServer(stack, folder / "pg", url)], seconds)
            results["two_servers"] = leases([SweepServer(stack, folder / f"pg-{n}", url) for n in range(2)], seconds)
            next(databases, None)
        finally:
            stack.stop()
    return results


def leases(servers: list[SweepServer], seconds: float) -> dict[str, Any]:
    """At the servers, which share their database."""
    for server in servers:
        server.start()
    client = servers[0].client()
    try:
        found = {name: _leases(servers, client, definition, seconds) for name, definition in _SEARCHES.items()}
        http = _leases(servers, client, _GRID, seconds, http=True)
    finally:
        client.close()
        for server in servers:
            server.stop()
    per_s = min(one["leases_per_s"] for one in found.values())
    return {
        "leases_per_s": per_s,
        "lease_p99_ms": max(one["lease_p99_ms"] for one in found.values()),
        **found,
        "http": http,
    }


def _leases(
    servers: list[SweepServer], client: SweepClient, definition: dict[str, Any], seconds: float, *, http: bool = False
) -> dict[str, float]:
    sweep = client.create(definition, "bench").id
    addresses = [f"127.0.0.1:{server.ports['http' if http else 'grpc']}" for server in servers]
    key = servers[0].key
    before_s = _cpu_s(servers)
    loops = drive(addresses, key, sweep, seconds, 0.0, http=http)
    took_s = _cpu_s(servers) - before_s
    bursts = drive(addresses, key, sweep, seconds, _BURST_EVERY_S, http=http)
    return {
        "leases_per_s": loops["per_s"],
        "saturated_p99_ms": loops["p99_ms"],
        "server_cpu_ms": round(took_s * 1000 / (loops["per_s"] * seconds + AGENTS), 3),
        "burst_leases_per_s": bursts["per_s"],
        "lease_p50_ms": bursts["p50_ms"],
        "lease_p99_ms": bursts["p99_ms"],
        "arrival_p99_ms": max(loops["arrival_p99_ms"], bursts["arrival_p99_ms"]),
    }


def _cpu_s(servers: list[SweepServer]) -> float:
    import psutil

    return sum(sum(psutil.Process(server.pid).cpu_times()[:2]) for server in servers)


if __name__ == "__main__":
    main()
