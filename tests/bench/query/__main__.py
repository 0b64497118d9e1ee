"""How fast questions are answered: `python -m tests.bench.query [--quick] [--only KIND,...]`. Prints JSON last.

Seeds once: a project of 10,000 runs x 100 metrics (20 of them with curves of a thousand steps), a run with a series of
ten million steps, one of 100,000 metric names, one of 1024 ranks, a sweep of 100,000 runs. Then asks each kind of
question through the query service over gRPC, in turn with the SQL that an expert would write for the same answer,
straight to ClickHouse. `long_chart_first`: as `long_chart`, and asked so that nothing of the time before is of use
(`curves/plan_cache.py`). `table_page`: as `runs_page`, of fifteen columns; `table_page_live`: while three of the runs
log, so that something has changed before each question. `p50_ms`, `p95_ms`: the service; `sql_p50_ms`, `sql_p95_ms`:
the expert; `ratio`: of medians; `cpu_ms`: of the query service and of ClickHouse, for one answer of the service.
`--quick`: a tenth of the data.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc

from runstream_proto.v1 import curves_pb2, export_pb2
from runstream_proto.v1 import query_pb2 as pb
from runstream_proto.v1 import query_pb2_grpc as rpc
from tests.bench.meters import CpuMeter
from tests.bench.query import expert
from tests.bench.query.seed import SPIKE_STEP, Sizes, log_on, seed
from tests.support.stack import ServiceStack

BUCKETS = 1000
SHOWN_KEYS = ["lr", "model.option-1", "model.option-2", "model.option-3", "model.option-4"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of question: as the service is asked, and as the expert would."""

    ask: Callable[[], Any]
    sql: str
    parameters: dict[str, Any]
    check: Callable[[Any], None]
    times: int = 40
    before: Callable[[], None] | None = None
    """What happens before each question, beside the clock."""


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, fewer questions")
    parser.add_argument("--only", default="", help="kinds, separated by commas")
    arguments = parser.parse_args()
    sizes = Sizes.quick() if arguments.quick else Sizes()
    with tempfile.TemporaryDirectory(prefix="runstream-bench-") as folder:
        stack = ServiceStack(Path(folder))
        stack.extra = {"RUNSTREAM_ROLLUPS_S": "1"}
        stack.start()
        try:
            only = set(filter(None, arguments.only.split(",")))
            print(json.dumps(measure(stack, sizes, arguments.quick, only), indent=1))
        finally:
            stack.stop()


def measure(stack: ServiceStack, sizes: Sizes, quick: bool, only: set[str]) -> dict[str, Any]:
    client = stack.clickhouse.client()
    for project in ("wide", "deep", "sweep"):
        stack.make_project(project)
    seed(client, sizes, say)
    wait_rolled(client, sizes)
    # Rolled up by now, the service looks for new parts as often as it does by default.
    stack.extra = {}
    stack.services["query"].stop()
    stack.start_service("query", "runstream_query", "query_ops")
    results: dict[str, Any] = {"cores": os.cpu_count(), "quick": quick}
    options = [("grpc.max_receive_message_length", 64 << 20)]
    with grpc.insecure_channel(stack.address("grpc"), options=options) as channel:
        stub = rpc.QueryServiceStub(channel)
        metadata = (("authorization", f"Bearer {stack.key}"),)
        for name, kind in kinds(stub, metadata, sizes, client).items():
            if not only or name in only:
                say(f"asking: {name}")
                results[name] = compare(stack, client, kind, quick)
    return results


def wait_rolled(client: Any, sizes: Sizes) -> None:
    """Until merges rest and the long series is rolled up: the state of a server some time after."""
    say("waiting for merges and roll-ups")
    deadline, resting = time.monotonic() + 300, 0
    covered = (
        "SELECT sum(points) FROM rolled_series FINAL "
        "WHERE run = 'long' AND part IN (SELECT name FROM system.parts WHERE active)"
    )
    while time.monotonic() < deadline:
        merging = client.query("SELECT count() FROM system.merges").result_rows[0][0]
        rolled = client.query(covered).result_rows[0][0] >= sizes.long_steps * 0.9
        resting = resting + 1 if rolled and not merging else 0
        if resting == 20:
            return
        time.sleep(0.5)
    say("roll-ups are not complete: the figures say so")


def kinds(stub: Any, metadata: Any, sizes: Sizes, client: Any) -> dict[str, Kind]:
    def asked(method: str, request: Any) -> Callable[[], Any]:
        return lambda: getattr(stub, method)(request, metadata=metadata, timeout=60)

    runs = [f"run-{number:06}" for number in range(sizes.workspace_runs)]
    metrics = [f"group-{number // 10}/metric-{number}" for number in range(0, 100, 10)]
    window = (sizes.rank_steps - 1000, sizes.rank_steps - 1)
    pattern = "^val/.*weight-[0-9]*7$"
    conditions = [
        {"config.lr": {"$lt": 0.01}},
        {"summary.group-3/metric-30": {"$gt": 0.2}},
        {"state": "finished"},
    ]
    fields = [*(f"config.{key}" for key in SHOWN_KEYS), *(f"summary.{metric}" for metric in metrics)]
    table_page = Kind(
        asked(
            "ListRuns",
            pb.ListRunsRequest(
                project="wide",
                filter=json.dumps({"$and": conditions}),
                order=["-summary.group-3/metric-30"],
                page_size=50,
                fields=fields,
            ),
        ),
        expert.TABLE_PAGE,
        {"metric": "group-3/metric-30", "keys": SHOWN_KEYS, "metrics": metrics},
        lambda answer: must(len(answer.runs) == 50 and len(answer.runs[0].summary) == 10),
    )
    long = {"project": "deep", "runs": ["long"], "metrics": ["loss"], "buckets": BUCKETS}
    return {
        "long_chart": Kind(
            asked("GetCurves", pb.GetCurvesRequest(**long)),
            expert.LONG_CHART,
            {"width": max(sizes.long_steps // BUCKETS, 1)},
            lambda answer: check_spike(answer, sizes),
        ),
        "long_chart_first": Kind(
            # Of the ranks that are named, the one there is: of such a question nothing is remembered.
            asked("GetCurves", pb.GetCurvesRequest(**long, ranks=[0])),
            expert.LONG_CHART,
            {"width": max(sizes.long_steps // BUCKETS, 1)},
            lambda answer: check_spike(answer, sizes),
        ),
        "workspace": Kind(
            asked("GetCurves", pb.GetCurvesRequest(project="wide", runs=runs, metrics=metrics, buckets=BUCKETS)),
            expert.WORKSPACE,
            {"runs": runs, "metrics": metrics},
            lambda answer: must(len(answer.curves) == len(runs) * len(metrics)),
        ),
        "runs_page": Kind(
            asked(
                "ListRuns",
                pb.ListRunsRequest(
                    project="wide",
                    filter=json.dumps({"$and": conditions}),
                    order=["-summary.group-3/metric-30"],
                    page_size=50,
                ),
            ),
            expert.RUNS_PAGE,
            {"metric": "group-3/metric-30"},
            lambda answer: must(len(answer.runs) == 50),
        ),
        "table_page": table_page,
        "table_page_live": replace(table_page, before=lambda: log_on(client)),
        "top_k": Kind(
            asked("RankRuns", pb.RankRunsRequest(project="sweep", metric="metric-3", limit=10, sweep_id="sweep-1")),
            expert.TOP_K,
            {},
            lambda answer: must(len(answer.runs) == 10),
        ),
        "ranks": Kind(
            asked(
                "GetRankCurves",
                curves_pb2.GetRankCurvesRequest(
                    project="deep",
                    run="ranks",
                    metrics=["loss"],
                    min_step=window[0],
                    max_step=window[1],
                    buckets=BUCKETS,
                ),
            ),
            expert.RANKS,
            {"low": window[0], "high": window[1]},
            lambda answer: must(list(answer.curves[0].counts) == [sizes.ranks] * 1000),
        ),
        "metric_search": Kind(
            asked("ListMetrics", pb.ListMetricsRequest(project="deep", run="names", regex=pattern, page_size=100)),
            expert.METRIC_SEARCH,
            {"pattern": pattern},
            lambda answer: must(len(answer.metrics) == 100),
        ),
        "export": Kind(
            lambda: exported(stub, metadata),
            expert.EXPORT,
            {},
            lambda answer: must(answer == sizes.long_steps),
            times=5,
        ),
    }


def exported(stub: Any, metadata: Any) -> int:
    """Points of the long run's whole history, as Arrow, read by pyarrow."""
    import pyarrow as pa

    request = export_pb2.ExportPointsRequest(project="deep", runs=["long"], format=export_pb2.EXPORT_FORMAT_ARROW)
    parts = [part.data for part in stub.ExportPoints(request, metadata=metadata, timeout=120)]
    return int(pa.ipc.open_stream(b"".join(parts)).read_all().num_rows)


def check_spike(answer: pb.GetCurvesResponse, sizes: Sizes) -> None:
    (curve,) = answer.curves
    must(sum(curve.counts) == sizes.long_steps and max(curve.maxs) == 1000.0)
    at = list(curve.maxs).index(1000.0)
    must(curve.first_steps[at] <= SPIKE_STEP % sizes.long_steps <= curve.last_steps[at])


def must(holds: bool) -> None:
    if not holds:
        raise SystemExit("the answer is not what was seeded: its time says nothing")


def compare(stack: ServiceStack, client: Any, kind: Kind, quick: bool) -> dict[str, Any]:
    """In turn, so that a noisy moment is everybody's."""
    times = max(kind.times // 4, 3) if quick else kind.times
    for _ in range(3):
        kind.check(kind.ask())
        run_sql(client, kind)
    service, sql = [], []
    cpu: dict[str, float] = {"query": 0.0, "clickhouse": 0.0}
    pids = {"query": stack.services["query"].pid, "clickhouse": stack.clickhouse.service.pid}
    for _ in range(times):
        if kind.before is not None:
            kind.before()
        meter = CpuMeter(pids)
        service.append(timed(kind.ask))
        for name, used in meter.used().items():
            cpu[name] += used
        sql.append(timed(lambda: run_sql(client, kind)))
    result = {
        "p50_ms": ms(statistics.median(service)),
        "p95_ms": ms(quantile(service, 0.95)),
        "sql_p50_ms": ms(statistics.median(sql)),
        "sql_p95_ms": ms(quantile(sql, 0.95)),
        "ratio": round(statistics.median(service) / statistics.median(sql), 2),
        "cpu_ms": {name: ms(used / times) for name, used in cpu.items()},
    }
    if kind.sql is expert.EXPORT:
        result["points_per_s"] = round(kind.ask() / statistics.median(service))
    return result


def run_sql(client: Any, kind: Kind) -> None:
    client.query_arrow(kind.sql, parameters=kind.parameters, settings={"max_execution_time": 60})


def timed(act: Callable[[], Any]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


if __name__ == "__main__":
    main()
