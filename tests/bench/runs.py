"""What a project of many runs takes: `python -m tests.bench.runs --runs N --keys K`. Prints JSON last.

Fills a project by SQL with N runs x K config keys (drawn numbers, small numbers, choices, one text that no two runs
share) and two metrics, as the writer stores them. Then starts a query service and asks it over gRPC, each question
twice: `first_ms`, `again_ms`; `cpu_ms`, of the query service and of ClickHouse, is of the first. `rss_mb`: the
service's memory after the question, `peak_mb`: the highest during it (the kernel's VmHWM, reset before each).
`bytes_a_run`: what the memory grew by from the start of the service to the end. `live`: after one run has logged, so
that something has changed.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from runstream_proto.v1 import query_pb2 as pb
from runstream_proto.v1 import query_pb2_grpc as rpc
from tests.bench.meters import CpuMeter
from tests.support.stack import ServiceStack

PROJECT = "many"
_START_US = 1_790_000_000_000_000
_BLOCK = 100_000
"""Runs in one insert"""
_RUN = "substring(lower(hex(cityHash64({0}))), 1, 12)"
_SETTINGS = {"max_execution_time": 600, "max_insert_threads": 1}
_TIMEOUT_S = 600


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--keys", type=int, default=100, help="config keys of each run, at least 10")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="runstream-bench-") as folder:
        stack = ServiceStack(Path(folder))
        stack.extra = {"RUNSTREAM_ROLLUPS_S": "0", "RUNSTREAM_TABLES_MEMORY": "2GiB"}
        stack.start(query=False)
        try:
            stack.make_project(PROJECT)
            seed(stack.clickhouse.client(), arguments.runs, arguments.keys)
            print(json.dumps(measure(stack, arguments.runs, arguments.keys), indent=1))
        finally:
            stack.stop()


def seed(client: Any, runs: int, keys: int) -> None:
    """Fill main/many. `client`: a synchronous clickhouse-connect client."""
    for first in range(0, runs, _BLOCK):
        say(f"seeding runs from {first}")
        for statement in _statements(first, min(_BLOCK, runs - first), keys):
            client.command(statement, settings=_SETTINGS)
    deadline, resting = time.monotonic() + 600, 0
    while resting < 10 and time.monotonic() < deadline:
        resting = 0 if client.query("SELECT count() FROM system.merges").result_rows[0][0] else resting + 1
        time.sleep(0.2)


def _statements(first: int, count: int, keys: int) -> list[str]:
    """`count` runs from number `first`."""
    document = "INSERT INTO run_fields (project, run, section, key, value, time, version, run_month) SELECT "
    rest = "now64(6), 1, toDate('2026-09-01')"
    number, key = f"({first} + intDiv(number, {keys}))", f"(number % {keys})"
    value = (
        f"multiIf({key} = 1, concat('\"data/shard-', toString({number}), '.parquet\"'), "
        f"{key} % 5 = 2, concat('\"choice-', toString(rand(1) % 9), '\"'), "
        f"{key} % 5 = 3, toString(rand(2) % 64), toString(pow(10, -1 - rand(3) / 1e9)))"
    )
    run = _RUN.format(f"({first} + number)")
    made = f"fromUnixTimestamp64Micro({_START_US} + ({first} + toInt64(number)) * 1000000)"
    own = f"({first} + intDiv(number, 3))"
    ended = "['finished', 'finished', 'failed'][1 + number % 3]"
    streams = [
        "INSERT INTO streams (project, run, writer, event, rank, epoch, world_size, host, user, outcome, time, "
        "received, run_created, version, run_month) "
        f"SELECT 'main/{PROJECT}', {run}, concat('writer-', toString({first} + number)), '{event}', 0, 1, 1, "
        f"concat('host-', toString(number % 300)), concat('user-', toString(number % 7)), "
        f"if('{event}' = 'finish', {ended}, ''), {moment}, {moment}, {made}, 1, toDate('2026-09-01') "
        f"FROM numbers({count})"
        for event, moment in (("start", made), ("finish", f"({made} + 600)"))
    ]
    return [
        *streams,
        f"{document} 'main/{PROJECT}', {_RUN.format(number)}, 'config', if({key} = 0, 'lr', "
        f"concat('model.option-', toString({key}))), {value}, {rest} FROM numbers({count * keys})",
        f"{document} 'main/{PROJECT}', {_RUN.format(own)}, 'run', ['name', 'tags', 'group'][1 + number % 3], "
        f"[concat('\"brave-run-', toString({own}), '\"'), concat('[\"tag-', toString({own} % 5), '\"]'), "
        f"concat('\"group-', toString({own} % 11), '\"')][1 + number % 3], {rest} FROM numbers({count * 3})",
        f"INSERT INTO series SELECT 'main/{PROJECT}', {_RUN.format(f'({first} + intDiv(number, 2))')}, "
        "['loss', 'val/acc'][1 + number % 2], 0, (toInt64(999), toUInt64(1), rand(4) / 4294967295, now64(6)), 0, "
        f"toDate('2026-09-01') FROM numbers({count * 2})",
    ]


def measure(stack: ServiceStack, runs: int, keys: int) -> dict[str, Any]:
    """Ask a query service that has just started."""
    service = stack.start_service("query", "runstream_query", "query_ops")
    start_mb, _ = _memory(service.pid)
    results: dict[str, Any] = {"cores": os.cpu_count(), "runs": runs, "keys": keys, "start_mb": start_mb}
    options = [("grpc.max_receive_message_length", 64 << 20)]
    with grpc.insecure_channel(stack.address("grpc"), options=options) as channel:
        stub = rpc.QueryServiceStub(channel)
        metadata = (("authorization", f"Bearer {stack.key}"),)

        def ask(method: str, request: Any) -> Any:
            return getattr(stub, method)(request, metadata=metadata, timeout=_TIMEOUT_S)

        pids = {"query": service.pid, "clickhouse": stack.clickhouse.service.pid}
        for name, question in questions(ask, runs, keys, stack).items():
            results[name] = measured(question, pids)
            say(f"{name}: {results[name]}")
    results["end_mb"], results["clickhouse_mb"] = (_memory(pid)[0] for pid in pids.values())
    results["peak_mb"] = max(one["peak_mb"] for one in results.values() if isinstance(one, dict))
    results["bytes_a_run"] = round((results["end_mb"] - start_mb) * 2**20 / runs)
    return results


def questions(
    ask: Callable[[str, Any], Any], runs: int, keys: int, stack: ServiceStack
) -> dict[str, Callable[[], Any]]:
    """By name; each says what was wrong with its answer by an AssertionError."""
    named = ["config.lr", *(f"config.model.option-{key}" for key in range(1, 9)), "summary.loss"]
    page = {
        "project": PROJECT,
        "filter": '{"config.lr": {"$lt": 0.05}}',
        "order": ["-summary.val/acc"],
        "page_size": 50,
    }
    held = json.dumps({"$and": [{name: {"$exists": True}} for name in named]})
    tokens = [""]

    def list_fields() -> None:
        answer = ask("ListFields", pb.ListFieldsRequest(project=PROJECT))
        assert len(answer.fields) == keys + 2 and answer.fields[0].runs == runs

    def list_runs(**more: Any) -> Any:
        answer = ask("ListRuns", pb.ListRunsRequest(**{**page, **more}))
        assert len(answer.runs) == 50 and answer.total > 0
        return answer

    def table_page() -> None:
        tokens[:] = [list_runs(fields=named).next_page_token]

    def live() -> None:
        _log_on(stack.clickhouse.client())
        list_runs(fields=named)

    return {
        "list_fields": list_fields,
        "page": list_runs,
        "ten_columns": table_page,
        "page_after": lambda: list_runs(fields=named, page_token=tokens[0]),
        "filter_by_ten": lambda: list_runs(filter=held),
        "by_name": lambda: list_runs(order=["+name"]),
        "search": lambda: list_runs(search="shard-1", filter=""),
        "live": live,
    }


def measured(question: Callable[[], Any], pids: Mapping[str, int]) -> dict[str, Any]:
    """A question asked twice, or why it was not answered."""
    pid = pids["query"]
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the highest memory counts from now
    meter, times, cpu = CpuMeter(pids), [], {}
    found: dict[str, Any] = {}
    for _ in range(2):
        began = time.perf_counter()
        try:
            question()
        except grpc.RpcError as error:
            found["error"] = f"{error.code().name}: {error.details()}"
        times.append(round((time.perf_counter() - began) * 1000))
        cpu = cpu or {name: round(used_s * 1000) for name, used_s in meter.used().items()}
    now, highest = _memory(pid)
    return {**found, "first_ms": times[0], "again_ms": times[1], "cpu_ms": cpu, "rss_mb": now, "peak_mb": highest}


def _log_on(client: Any) -> None:
    """One run of the project logs a step, and gives a sign of life."""
    client.command(
        f"INSERT INTO series SELECT 'main/{PROJECT}', {_RUN.format('number')}, 'loss', 0, "
        "(toInt64(1000), toUInt64(2), 0.5, now64(6)), 0, toDate('2026-09-01') FROM numbers(1)"
    )
    client.command(
        "INSERT INTO streams "
        "(project, run, writer, event, rank, epoch, time, received, run_created, version, run_month) "
        f"SELECT 'main/{PROJECT}', {_RUN.format('number')}, 'writer-0', 'heartbeat', 0, 1, now64(6), now64(6), "
        f"fromUnixTimestamp64Micro({_START_US}), {time.time_ns() // 1000}, toDate('2026-09-01') FROM numbers(1)"
    )


def _memory(pid: int) -> tuple[float, float]:
    """Resident memory of a process in MiB: now, and the highest since it was reset."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    now, highest = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return round(now, 1), round(highest, 1)


if __name__ == "__main__":
    main()
