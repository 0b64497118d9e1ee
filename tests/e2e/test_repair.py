"""`runstream repair` on the real stack over Kafka: parts of `points` are damaged or taken away, what the topic holds is
stored again, and every row is there once. And beside an `up` with a data folder of its own: what a spool holds."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

import runstream
from runstream.api import Api, NotFoundError
from runstream_deploy.repair.command import main as repair
from tests.e2e.test_up import Up
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
    assert "no run is incomplete or damaged" in capsys.readouterr().out


def rows(stack: ServiceStack) -> list[Any]:
    client = stack.clickhouse.client()
    return [client.query(question).result_rows for question in (POINTS, TEXTS)]


@pytest.mark.timeout(300)
def test_what_a_spool_still_holds_is_sent_also_to_an_up_with_a_folder_of_its_own(
    up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three runs of two ranks: rank 0 is stored, rank 1 ended while nothing could be sent. Then a stored part is gone,
    which only a backup has."""
    addresses = up.start()
    spool = tmp_path / "spool"
    for name, value in up.sdk_environment(addresses, spool).items():
        monkeypatch.setenv(name, value)
    for run in ("whole", "hurt", "lives"):
        for rank, mode in ((0, "online"), (1, "offline")):
            settings = runstream.Settings(mode=mode, rank=rank, world_size=2)
            with runstream.init(project="repaired", id=run, reinit="create_new", settings=settings) as logged:
                for step in range(500):
                    logged.log({"loss": rank + 1 / (step + 1)}, step=step)
    living = next(meta for meta in spool.glob("streams/*/meta.json") if '"lives"' in meta.read_text())
    wait_for(lambda: [stored(run) for run in ("whole", "hurt", "lives")] == [500] * 3, "rank 0 of each")
    client = clickhouse_connect.get_client(
        host="127.0.0.1",
        port=int(addresses.clickhouse.rpartition(":")[2]),
        password=(up.data / "clickhouse-password").read_text().strip(),
    )
    client.command("CREATE TABLE others AS points")
    client.command("INSERT INTO others SELECT * FROM points WHERE run != 'hurt'")
    client.command("ALTER TABLE points DROP PARTITION ALL")  # its parts hold rows of all runs
    client.command("INSERT INTO points SELECT * FROM others")
    client.command("DROP TABLE others")
    with living.with_name("lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as the process that still writes it does
        said = repaired(up.data, spool, "--all", "--dry-run")
        assert said.returncode == 1, said.stdout
        assert "main/repaired/whole: open" in said.stdout and "main/repaired/hurt: damaged" in said.stdout, said.stdout
        assert said.stdout.count(f"in the spool {spool}: 1 streams wait to be sent") == 2 and "lives" not in said.stdout
        assert verdict("whole") == "open", "a dry run changes nothing"
    said = repaired(up.data, spool, "main/repaired/whole", "--yes")
    print(said.stdout)
    assert said.returncode == 0 and "main/repaired/whole: repaired" in said.stdout, said.stdout
    assert verdict("whole") == "complete" and stored("whole") == 1000
    said = repaired(up.data, spool, "--all", "--yes")
    print(said.stdout)
    assert said.returncode == 1 and "main/repaired/hurt: damaged" in said.stdout, "what the disk lost is nowhere"
    assert "neither topic nor spool has what is missing" in said.stdout
    assert stored("hurt") == 500, "of rank 1"
    assert not list(spool.glob("streams/*/meta.json"))


def stored(run: str) -> int:
    try:
        return int(Api().run(f"repaired/{run}").completeness["points_stored"])
    except NotFoundError:
        return 0


def repaired(data: Path, spool: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runstream.cli", "repair", "--data", str(data), "--spool", str(spool), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
