"""What one user's load costs the others: `python -m tests.bench.crowd [--quick] [--only ROAD,...]`. Prints JSON last.

A member with three keys asks 64 heavy questions at once, again and again: over gRPC, over HTTP, exports, questions for
single runs. Beside him, in turn, an admin and another member of his team list runs, chart a curve, ask who they are.
`alone`: the same without him. Of each question: `p50_ms`, `worst_ms`, `refused`; of the heavy user: answers and
refusals. `burst_ms`: a page of 40 charts opened by one user, nobody beside: until the first, the half, the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format

from runstream_control.control_store import ControlStore
from runstream_control.principal import Role
from runstream_proto.v1 import export_pb2
from runstream_proto.v1 import query_pb2 as pb
from runstream_proto.v1 import query_pb2_grpc as rpc
from tests.bench.query.__main__ import say
from tests.bench.query.seed import MONTH, START_US, Sizes, seed
from tests.support.stack import ServiceStack

AT_ONCE = 64
CHARTS = 40
DEADLINE_S = 30
"""Of a question: who waits longer has given up, and counts as refused."""
MOST_S = 60.0
"""For one road's rounds: more are not begun."""


@dataclass(frozen=True, slots=True)
class People:
    """Their keys."""

    heavy: list[str]
    admin: str
    member: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the long series, fewer rounds")
    parser.add_argument(
        "--only", default="", help="roads, separated by commas: alone, burst, grpc, http, runs, exports"
    )
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    with tempfile.TemporaryDirectory(prefix="runstream-crowd-") as folder:
        stack = ServiceStack(Path(folder))
        stack.extra = {"RUNSTREAM_ROLLUPS_S": "0"}
        stack.start()
        try:
            print(json.dumps(measure(stack, arguments.quick, only), indent=1))
        finally:
            stack.stop()


def measure(stack: ServiceStack, quick: bool, only: set[str]) -> dict[str, Any]:
    for project in ("wide", "long"):
        stack.make_project(project)
    client = stack.clickhouse.client()
    seed(client, Sizes.quick(), say, ("wide",))
    runs = 20 if quick else 200
    say(f"seeding {runs} series of 100000 steps")
    for run in range(0, runs, 20):
        client.command(
            f"INSERT INTO points SELECT 'main/long', concat('run-', toString({run} + intDiv(number, 100000))), 'loss', "
            f"0, number % 100000, sin(number / 1e4), fromUnixTimestamp64Micro({START_US} + number), 1, {MONTH} "
            "FROM numbers(2000000)"
        )
    client.command(
        "INSERT INTO series SELECT project, run, metric, rank, max((step, version, value, time)), min(step), "
        "any(run_month) FROM points WHERE project = 'main/long' GROUP BY project, run, metric, rank"
    )
    client.command(
        "INSERT INTO streams (project, run, writer, event, rank, epoch, world_size, time, received, run_created, "
        f"version, run_month) SELECT 'main/long', concat('run-', toString(number)), 'w', 'start', 0, 1, 1, now64(6), "
        f"now64(6), fromUnixTimestamp64Micro({START_US}), 1, {MONTH} FROM numbers({runs})"
    )
    people = asyncio.run(make_people(stack))
    roads: dict[str, Callable[[], dict[str, Any]]] = {
        "burst": lambda: burst(stack, people.admin),
        "alone": lambda: beside(stack, people, None, quick),
        "grpc": lambda: beside(stack, people, heavy_grpc(runs), quick),
        "http": lambda: beside(stack, people, heavy_http(runs), quick),
        "runs": lambda: beside(stack, people, single_runs, quick),
        "exports": lambda: beside(stack, people, exports, quick),
    }
    found: dict[str, Any] = {}
    for name, road in roads.items():
        if not only or name in only:
            say(f"asking: {name}")
            found[name] = road()
            say(json.dumps(found[name]))
    return found


async def make_people(stack: ServiceStack) -> People:
    store = ControlStore.open(stack.control_url)
    try:
        heavy = [str(await store.create_api_key("heavy", "main", Role.MEMBER)) for _ in range(3)]
        return People(heavy, stack.key, str(await store.create_api_key("colleague", "main", Role.MEMBER)))
    finally:
        await store.close()


Heavy = Callable[[ServiceStack, str, int], None]
"""Asks the question of this number with a key; raises grpc.RpcError or urllib.error.HTTPError."""


def questions(runs: int, number: int) -> tuple[str, Any]:
    """A chart of many long series, a workspace, or a list by a filter on the text of many runs' metrics."""
    ids = [f"run-{run}" for run in range(runs)]
    if number % 3 == 0:
        return "GetCurves", pb.GetCurvesRequest(project="long", runs=ids, metrics=["loss"], ranks=[0])
    if number % 3 == 1:
        ids = [f"run-{run:06}" for run in range(20)]
        metrics = [f"group-{number // 10}/metric-{number}" for number in range(0, 100, 5)]
        return "GetCurves", pb.GetCurvesRequest(project="wide", runs=ids, metrics=metrics)
    conditions = {"summary.group-3/metric-30": {"$gt": number / 1000}, "config.lr": {"$lt": 0.01}}
    return "ListRuns", pb.ListRunsRequest(project="wide", filter=json.dumps(conditions), page_size=500)


def heavy_grpc(runs: int) -> Heavy:
    local = threading.local()

    def ask(stack: ServiceStack, key: str, number: int) -> None:
        if not hasattr(local, "stub"):
            options = [("grpc.max_receive_message_length", 256 << 20), ("grpc.use_local_subchannel_pool", 1)]
            local.stub = rpc.QueryServiceStub(grpc.insecure_channel(stack.address("grpc"), options=options))
        method, request = questions(runs, number)
        getattr(local.stub, method)(request, metadata=bearer(key), timeout=DEADLINE_S)

    return ask


def heavy_http(runs: int) -> Heavy:
    def ask(stack: ServiceStack, key: str, number: int) -> None:
        over_http(stack, key, *questions(runs, number))

    return ask


def single_runs(stack: ServiceStack, key: str, number: int) -> None:
    """As ranks that start ask."""
    over_http(
        stack, key, "GetRun", pb.GetRunRequest(project="wide", run=f"run-{number % 1000:06}", omit_completeness=True)
    )


def exports(stack: ServiceStack, key: str, number: int) -> None:
    with grpc.insecure_channel(stack.address("grpc"), options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        request = export_pb2.ExportPointsRequest(project="long", format=export_pb2.EXPORT_FORMAT_CSV)
        for _ in rpc.QueryServiceStub(channel).ExportPoints(request, metadata=bearer(key), timeout=DEADLINE_S):
            pass


def over_http(stack: ServiceStack, key: str, method: str, request: Any) -> bytes:
    body = json_format.MessageToJson(request).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "accept": "application/x-protobuf"}
    asked = urllib.request.Request(f"http://{stack.address('http')}/api/v1/{method}", body, headers)
    with urllib.request.urlopen(asked, timeout=DEADLINE_S) as response:
        return bytes(response.read())


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


def beside(stack: ServiceStack, people: People, heavy: Heavy | None, quick: bool) -> dict[str, Any]:
    """What the others' questions take while the heavy user asks."""
    end = threading.Event()
    outcomes: Counter[str] = Counter()

    def go_on(number: int) -> None:
        while heavy is not None and not end.is_set():
            key = people.heavy[number % len(people.heavy)]
            try:
                heavy(stack, key, number)
                outcomes["answered"] += 1
            except grpc.RpcError as error:
                outcomes[error.code().name] += 1
                end.wait(1.0)
            except (urllib.error.HTTPError, OSError) as error:
                outcomes[str(getattr(error, "code", type(error).__name__))] += 1
                end.wait(1.0)
            number += AT_ONCE

    with ThreadPoolExecutor(AT_ONCE) as pool:
        asking = [pool.submit(go_on, number) for number in range(AT_ONCE)]
        try:
            if heavy is not None:
                time.sleep(5.0)
            result = ask_in_turn(stack, people, 5 if quick else 15)
        finally:
            end.set()
        for one in asking:
            one.result()
    return {**result, "heavy": dict(outcomes)}


def ask_in_turn(stack: ServiceStack, people: People, rounds: int) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "ListRuns": pb.ListRunsRequest(project="wide", page_size=50),
        "GetCurves": pb.GetCurvesRequest(project="wide", runs=["run-000001"], metrics=["group-3/metric-30"]),
        "WhoAmI": pb.WhoAmIRequest(),
    }
    took: dict[str, list[float]] = defaultdict(list)
    refused: Counter[str] = Counter()
    with grpc.insecure_channel(stack.address("grpc"), options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = rpc.QueryServiceStub(channel)
        ends = time.monotonic() + MOST_S
        for number in range(rounds):
            if time.monotonic() > ends:
                break
            for name, key in (("admin", people.admin), ("member", people.member)):
                for method, request in wanted.items():
                    started = time.perf_counter()
                    try:
                        if number % 2:
                            over_http(stack, key, method, request)
                        else:
                            getattr(stub, method)(request, metadata=bearer(key), timeout=DEADLINE_S)
                    except (grpc.RpcError, OSError):
                        refused[f"{name} {method}"] += 1
                    took[f"{name} {method}"].append(time.perf_counter() - started)
    return {
        name: {"p50_ms": ms(statistics.median(times)), "worst_ms": ms(max(times)), "refused": refused[name]}
        for name, times in took.items()
    }


def burst(stack: ServiceStack, key: str, rounds: int = 7) -> dict[str, Any]:
    """Forty charts of a workspace at once, as a page asks over HTTP/2 behind a proxy, or a notebook over gRPC."""
    ids = [f"run-{run:06}" for run in range(20)]
    ends: list[list[float]] = []
    with grpc.insecure_channel(
        stack.address("grpc"), options=[("grpc.max_receive_message_length", 256 << 20)]
    ) as channel:
        stub = rpc.QueryServiceStub(channel)
        for _ in range(rounds):
            started, done = time.perf_counter(), []
            calls = []
            for number in range(CHARTS):
                metric = f"group-{number // 10}/metric-{number}"
                request = pb.GetCurvesRequest(project="wide", runs=ids, metrics=[metric])
                call = stub.GetCurves.future(request, metadata=bearer(key), timeout=DEADLINE_S)
                call.add_done_callback(lambda _, started=started, done=done: done.append(time.perf_counter() - started))
                calls.append(call)
            for call in calls:
                assert len(call.result().curves) == len(ids)
            while len(done) < CHARTS:
                time.sleep(0.001)
            ends.append(sorted(done))
    return {
        name: ms(statistics.median(one[at] for one in ends)) for name, at in (("first", 0), ("half", 20), ("last", -1))
    }


def ms(seconds: float) -> float:
    return round(seconds * 1e3, 1)


if __name__ == "__main__":
    main()
