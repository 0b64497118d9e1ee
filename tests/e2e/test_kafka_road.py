"""The whole road on real parts: three SDK processes, gateway, Kafka, writer, ClickHouse, query, all processes of their
own; a million points, read back value for value."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runstream.api import Api, NotFoundError
from tests.support.kafka import KafkaCluster
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack, clean_environment

PROCESSES = 3
METRICS = 20
STEPS = 17_000
POINTS = PROCESSES * METRICS * STEPS
LOGGER = Path(__file__).with_name("log_points.py")


@pytest.fixture(scope="module")
def stack(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceStack]:
    stack = ServiceStack(tmp_path_factory.mktemp("stack"), kafka.bootstrap)
    stack.extra["RUNSTREAM_CRASH_AFTER_S"] = "4"
    stack.start()
    yield stack
    stack.stop()


def stored(api: Api) -> int:
    try:
        return int(api.run("million/million-points").completeness["points_stored"])
    except NotFoundError:
        return 0


@pytest.mark.timeout(300)
def test_a_million_points_through_kafka_are_read_back_equal(
    stack: ServiceStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert POINTS >= 1_000_000
    environment = {**clean_environment(), **stack.sdk_environment(tmp_path / "spool")}
    processes = [
        subprocess.Popen(
            [sys.executable, str(LOGGER), str(rank), str(PROCESSES), str(METRICS), str(STEPS)], env=environment
        )
        for rank in range(PROCESSES)
    ]
    assert [process.wait(120) for process in processes] == [0] * PROCESSES
    for name, value in stack.sdk_environment(tmp_path / "spool").items():
        monkeypatch.setenv(name, value)
    api = Api()
    # finish() returned when Kafka had it all (promise 2); the writer may be a moment behind.
    wait_for(lambda: stored(api) == POINTS, f"{POINTS} stored points")
    run = api.run("million/million-points")
    complete = run.completeness
    assert complete["verdict"] == "complete"
    assert complete["points_logged"] == complete["points_received"] == POINTS
    sys.path.insert(0, str(LOGGER.parent))
    from log_points import value_of

    seen = 0
    got: dict[tuple[str, int], list[tuple[np.ndarray, np.ndarray]]] = {}
    for series in run.series(page_size=500_000):
        got.setdefault((series.metric, series.rank), []).append(
            (np.frombuffer(series.steps, np.int64), np.frombuffer(series.values, np.float64))
        )
    for metric in range(METRICS):
        for rank in range(PROCESSES):
            parts = got[(f"group/metric-{metric:02d}", rank)]
            steps, values = (np.concatenate([part[i] for part in parts]) for i in range(2))
            np.testing.assert_array_equal(steps, np.arange(STEPS))
            expected = np.array([value_of(metric, rank, step) for step in range(STEPS)])
            np.testing.assert_array_equal(values.view(np.int64), expected.view(np.int64))  # bit for bit, NaN too
            seen += len(steps)
    assert seen == POINTS
    stack_logs = "".join((stack.folder / f"{name}.log").read_text() for name in ("gateway", "writer", "query"))
    assert os.environ["RUNSTREAM_API_KEY"] not in stack_logs


def test_a_run_is_not_crashed_while_its_batches_wait_on_the_topic(
    stack: ServiceStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer stands still for longer than RUNSTREAM_CRASH_AFTER_S, the gateway does not."""
    for name, value in stack.sdk_environment(tmp_path / "spool").items():
        monkeypatch.setenv(name, value)
    script = """
import runstream, sys
run = runstream.init(project="waits", id="alive")
run.log({"loss": 1.0})
sys.stdin.readline()
print(run.finish(timeout=60))
"""
    client = stack.clickhouse.client()
    api = Api()

    def listened() -> list[tuple[int, int]]:
        found = client.query("SELECT parts, count() FROM listening FINAL WHERE until > now() - 10 GROUP BY parts")
        return [(parts, count) for parts, count in found.result_rows]

    def age() -> float:
        return float(client.query("SELECT now64(6) - max(until) FROM listening").result_rows[0][0])

    wait_for(lambda: any(parts == count for parts, count in listened()), "a mark of each partition")
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        heard = "SELECT count() FROM streams WHERE project = 'main/waits'"
        wait_for(lambda: client.query(heard).result_rows[0][0] > 0, "the run")
        stack.services["writer"].signal(signal.SIGSTOP)
        seen = []
        while not seen or age() < 12:
            seen.append(api.run("waits/alive").state)
        stack.services["writer"].signal(signal.SIGCONT)
        out, errors = process.communicate("end\n", timeout=90)
    assert set(seen) == {"running"}, seen
    assert out.strip() == "True", errors
    wait_for(lambda: api.run("waits/alive").state == "finished", "its end")
