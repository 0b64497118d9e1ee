"""`runstream repair` on the real stack over Kafka: parts of `points` are damaged or taken away, what the topic holds is
stored again, and every row is there once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import runstream
from runstream.api import Api, NotFoundError
from runstream_deploy.repair.command import main as repair
from tests.support.kafka import KafkaCluster
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

RUNS = ("first", "second")
POINTS = "SELECT run, metric, rank, step, value, version FROM points FINAL ORDER BY ALL"
TEXTS = "SELECT run, key, step, value, version FROM strings FINAL ORDER BY ALL"


@pytest.fixture(scope="module")
def stack(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceStack]:
    stack = ServiceStack(tmp_path_factory.mktemp("repair"), kafka.bootstrap)
    stack.extra |= {"RUNSTREAM_KAFKA_TOPIC": "repair", "RUNSTREAM_KAFKA_GROUP": "repair"}
    stack.start()
    yield stack
    stack.stop()


@pytest.fixture
def environment(stack: ServiceStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {**stack.environment, **stack.sdk_environment(tmp_path / "spool")}.items():
        monkeypatch.setenv(name, value)


def verdict(run: str) -> str:
    try:
        return str(Api().run(f"repaired/{run}").completeness["verdict"])
    except NotFoundError:
        return "unknown"


def parts_of(stack: ServiceStack, table: str) -> list[Path]:
    """Folders of the parts, the largest first."""
    rows = stack.clickhouse.client().query(
        "SELECT path FROM system.parts WHERE active AND table = {table:String} ORDER BY rows DESC",
        parameters={"table": table},
    )
    return [Path(row[0]) for row in rows.result_rows]


def flip(stack: ServiceStack, table: str) -> None:
    """One byte in the middle of the largest file, which holds values."""
    path = max(parts_of(stack, table)[0].glob("*.bin"), key=lambda file: file.stat().st_size)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0x40]))


def remove(stack: ServiceStack, table: str) -> None:
    """All of them: what was stored twice may be in several."""
    for path in parts_of(stack, table):
        stack.clickhouse.client().command(f"ALTER TABLE {table} DETACH PART '{path.name}'")
        shutil.rmtree(path.parent / "detached" / path.name)


HARM: dict[str, tuple[Callable[[ServiceStack, str], None], str]] = {
    "removed parts of texts": (remove, "strings"),
    "one flipped byte": (flip, "points"),
    "removed parts of points": (remove, "points"),
}


@pytest.mark.timeout(300)
def test_what_the_topic_holds_is_stored_again_and_nothing_twice(
    stack: ServiceStack, environment: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in RUNS:
        with runstream.init(project="repaired", id=name) as run:
            for step in range(2000):
                text = {} if step % 100 else {"note": f"at {step}"}
                run.log({"loss": 1 / (step + 1), "acc": step * 0.7919, **text})
    wait_for(lambda: [verdict(run) for run in RUNS] == ["complete"] * 2, "both runs to be complete")
    client = stack.clickhouse.client()
    before = [client.query(question).result_rows for question in (POINTS, TEXTS)]
    assert len(before[0]) == 8000 and len(before[1]) == 40
    for harm, (do, table) in HARM.items():
        do(stack, table)
        said = {run: verdict(run) for run in RUNS}
        assert "damaged" in said.values(), (harm, said)
        assert repair(["--all", "--dry-run"]) == 1
        plan = capsys.readouterr().out
        assert "batches that were stored" in plan and "can be replayed" in plan, plan
        assert {run: verdict(run) for run in RUNS} == said, "a dry run changes nothing"
        assert repair(["--all", "--yes"]) == 0, capsys.readouterr().out
        print(harm, said, plan, capsys.readouterr().out, sep="\n")
        assert [verdict(run) for run in RUNS] == ["complete"] * 2
        assert rows(stack) == before, harm
    assert repair(["main/repaired/first"]) == 0
    assert "no run lacks anything" in capsys.readouterr().out


def rows(stack: ServiceStack) -> list[Any]:
    client = stack.clickhouse.client()
    return [client.query(question).result_rows for question in (POINTS, TEXTS)]
