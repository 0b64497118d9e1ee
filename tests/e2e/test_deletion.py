"""Deletion for good, runs that fall silent, and `runstream verify`, on the real stack."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from runstream.api import Api, NotFoundError, PermissionDeniedError
from runstream.cli import main as command_line
from runstream_common.clickhouse.client import connect
from runstream_common.clickhouse.tombstones import RUN_TABLES
from runstream_common.objects import MediaConfig, MediaStore
from runstream_control.control_store import ControlStore
from runstream_control.principal import Role
from runstream_query.base.storage import Storage
from runstream_query.runs.deletion import Deletion
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

ROOT = Path(__file__).parents[2]
EVERYTHING = """
import sys, numpy, runstream
run = runstream.init(project=sys.argv[1], id=sys.argv[2], config={"lr": 0.1}, tags=["a"])
def grey(value):
    return runstream.Image(numpy.full((8, 8, 3), value, dtype="uint8"))
for step in range(20):
    run.log({"loss": 1 / (step + 1), "kept": step, "note": f"step {step}"})
    run.log({"weights": runstream.Histogram([1, 2, step])})
run.log({"picture": grey(200)})
run.log({"picture of its own": grey(sum(map(ord, sys.argv[2])) % 200)})
run.log({"table": runstream.Table(columns=["a"], data=[[1], [2]])})
run.alert("title", "text")
print("a line on the console")
assert run.finish(timeout=30)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceStack]:
    stack = ServiceStack(tmp_path_factory.mktemp("stack"))
    stack.extra["RUNSTREAM_CRASH_AFTER_S"] = "2"
    stack.start()
    yield stack
    stack.stop()


@pytest.fixture
def api(stack: ServiceStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    for name, value in stack.sdk_environment(tmp_path / "spool").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RUNSTREAM_CONSOLE", "auto")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Api()


def log_everything(project: str, run: str) -> None:
    command = [sys.executable, "-c", EVERYTHING, project, run]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def rows(stack: ServiceStack, question: str, **parameters: Any) -> list[Any]:
    async def ask() -> list[Any]:
        client = await connect(stack.clickhouse.config)
        try:
            return list((await client.query(question, parameters=parameters)).result_rows)
        finally:
            await client.close()

    return asyncio.run(ask())


def left(stack: ServiceStack, project: str, run: str) -> dict[str, int]:
    """Rows of a run in every table that has some."""
    found = {}
    for table in (*RUN_TABLES, "series", "ledger", "rejects", "replaced_points"):
        where = "WHERE project = {project:String} AND run = {run:String}"
        count = rows(stack, f"SELECT count() FROM {table} {where}", project=f"main/{project}", run=run)[0][0]
        if count:
            found[table] = count
    return found


def contents(stack: ServiceStack, project: str) -> set[str]:
    return {path.name for path in (stack.folder / "media" / "main" / project).rglob("*") if path.is_file()}


def test_a_deleted_run_leaves_nothing_and_takes_nothing_of_others(stack: ServiceStack, api: Api) -> None:
    for run in ("goes", "stays"):
        log_everything("deletion", run)
    wait_for(lambda: "console" in left(stack, "deletion", "goes"), "the console lines")
    before = left(stack, "deletion", "goes")
    assert set(before) >= {
        "points",
        "series",
        "strings",
        "histograms",
        "tables",
        "media",
        "console",
        "alerts",
        "ledger",
    }
    kept = left(stack, "deletion", "stays")
    assert len(contents(stack, "deletion")) == 3  # one that both show, one of each
    assert command_line(["delete", "deletion/goes", "--yes"]) == 0
    assert left(stack, "deletion", "goes") == {}
    assert left(stack, "deletion", "stays") == kept
    assert len(contents(stack, "deletion")) == 2
    with pytest.raises(NotFoundError, match="goes"):
        api.run("deletion/goes")
    assert [run.id for run in api.runs("deletion")] == ["stays"]
    log_everything("deletion", "goes")  # a later attempt of the same id begins anew
    assert api.run("deletion/goes").completeness["verdict"] == "complete"
    api.run("deletion/goes").delete()
    api.run("deletion/stays").delete()
    assert contents(stack, "deletion") == set()


def test_a_deleted_metric_leaves_the_others(stack: ServiceStack, api: Api) -> None:
    log_everything("metric", "run")
    run = api.run("metric/run")
    assert {"loss", "kept"} <= set(run.metrics())
    assert command_line(["delete", "metric/run", "--metric", "loss", "--yes"]) == 0
    run.delete_metric("note")
    run.delete_metric("picture")
    assert "loss" not in run.metrics() and "kept" in run.metrics()
    assert "loss" not in api.run("metric/run").summary
    assert "strings" not in left(stack, "metric", "run")
    assert len(contents(stack, "metric")) == 1


def test_a_deleted_project_and_who_may_delete(stack: ServiceStack, api: Api) -> None:
    for run in ("one", "two"):
        log_everything("whole", run)

    async def make(user: str, role: Role) -> str:
        store = ControlStore.open(stack.control_url)
        try:
            return str(await store.create_api_key(user, "main", role))
        finally:
            await store.close()

    viewer, member = (Api(api_key=asyncio.run(make(role.value, role))) for role in (Role.VIEWER, Role.MEMBER))
    with pytest.raises(PermissionDeniedError):
        viewer.run("whole/one").delete()
    with pytest.raises(PermissionDeniedError):
        viewer.run("whole/one").delete_metric("loss")
    for who in (viewer, member):
        with pytest.raises(PermissionDeniedError, match="admin"):
            who.project("whole").delete()
    assert "points" in left(stack, "whole", "one")
    assert api.project("whole").delete() == 2
    assert left(stack, "whole", "one") == left(stack, "whole", "two") == {}
    assert "whole" not in [project.name for project in api.projects()]
    log_everything("whole", "one")
    found = api.run("whole/one").completeness
    assert found["verdict"] == "complete", found["findings"]


def test_a_run_deleted_while_it_logs_sends_its_process_away(stack: ServiceStack, api: Api, tmp_path: Path) -> None:
    script = """
import runstream, time
run = runstream.init(project="live", id="live")
ended = time.monotonic() + 25  # the gateway looks every 15 s whether the run lives
while time.monotonic() < ended:
    run.log({"loss": 1.0})
    time.sleep(0.001)
run.finish(timeout=5)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: "points" in left(stack, "live", "live"), "the first points")
    api.run("live/live").delete()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in errors
    assert left(stack, "live", "live") == {}
    wait_for(lambda: not list((tmp_path / "spool" / "streams").iterdir()), "an empty spool")


def test_retention_deletes_what_has_long_been_silent(stack: ServiceStack, api: Api) -> None:
    for run in ("old", "new"):
        log_everything("kept-days", run)
    assert command_line(["retention", "kept-days", "--days", "7"]) == 0

    async def expire() -> int:
        client = await connect(stack.clickhouse.config)
        store = ControlStore.open(stack.control_url)
        try:
            await client.command(
                "INSERT INTO streams SELECT * REPLACE (received - INTERVAL 8 DAY AS received) FROM streams FINAL "
                "WHERE project = 'main/kept-days' AND run = 'old'"
            )
            media = MediaStore(MediaConfig((stack.folder / "media").absolute().as_uri()))
            return await Deletion(client, Storage(client), store, media).expire()
        finally:
            await client.close()
            await store.close()

    assert asyncio.run(expire()) == 1
    assert left(stack, "kept-days", "old") == {}
    assert "points" in left(stack, "kept-days", "new")
    assert asyncio.run(expire()) == 0


def kill_with_sender(process: subprocess.Popen[Any], spool: Path) -> None:
    """The machine is gone: nobody can say so."""
    senders = [found for found in psutil.process_iter(["cmdline"]) if str(spool) in (found.info["cmdline"] or [])]
    for victim in (process.pid, *(sender.pid for sender in senders)):
        os.kill(victim, signal.SIGKILL)
    process.communicate()


def test_a_run_that_falls_silent_has_crashed_until_it_is_heard_again(
    stack: ServiceStack, api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
import runstream, time
run = runstream.init(project="silent", id="run")
while True:
    run.log({"loss": 1.0})
    time.sleep(0.01)
"""

    def runs() -> bool:
        try:
            return api.run("silent/run").state == "running"
        except NotFoundError:
            return False

    process = subprocess.Popen([sys.executable, "-c", script])
    wait_for(runs, "the run")  # before anything else is asked: it is called silent 2 s after its start was heard
    wait_for(lambda: "points" in left(stack, "silent", "run"), "the first points")
    kill_with_sender(process, tmp_path / "spool")
    wait_for(lambda: api.run("silent/run").state == "crashed", "the verdict of silence")
    assert [run.id for run in api.runs("silent", state="crashed")] == ["run"]
    assert command_line(["verify", "silent/run"]) == 2
    assert "open" in capsys.readouterr().out
    assert command_line(["sync", str(tmp_path / "spool")]) == 0  # the machine is back
    assert api.run("silent/run").state == "crashed"
    capsys.readouterr()
    assert command_line(["verify", "silent/run", "--wait", "10"]) == 0
    assert "silent/run: complete" in capsys.readouterr().out
    resumed = """
import runstream, sys
run = runstream.init(project="silent", id="run", resume="must")
run.log({"loss": 2.0})
sys.stdin.readline()
"""
    process = subprocess.Popen([sys.executable, "-c", resumed], stdin=subprocess.PIPE, text=True)
    wait_for(lambda: api.run("silent/run").state == "running", "the resumed run")
    process.communicate("end\n", timeout=30)
    assert process.returncode == 0
    wait_for(lambda: api.run("silent/run").state == "finished", "its end")


def test_silence_counts_only_while_the_server_listens(stack: ServiceStack, api: Api, tmp_path: Path) -> None:
    """The server is away for longer than RUNSTREAM_CRASH_AFTER_S, beside a run that lives and one that died."""
    script = """
import runstream, sys
run = runstream.init(project="stands", id=sys.argv[1])
run.log({"loss": 1.0})
sys.stdin.readline()
run.log({"loss": 2.0})
print(run.finish(timeout=90))
"""

    def begin(name: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "RUNSTREAM_DIR": str(tmp_path / name)}
        return subprocess.Popen(
            [sys.executable, "-c", script, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def states() -> dict[str, str]:
        return {run.id: run.state for run in api.runs("stands")}

    def heard(name: str) -> bool:
        return bool(rows(stack, "SELECT run FROM streams WHERE run = {run:String}", run=name))

    dead = begin("dead")
    wait_for(lambda: heard("dead"), "the run that dies")
    kill_with_sender(dead, tmp_path / "dead")
    wait_for(lambda: states() == {"dead": "crashed"}, "the verdict of silence")
    alive = begin("alive")
    wait_for(lambda: heard("alive"), "the run that lives")
    stack.services["ingest"].kill()
    seen = [states()]
    still = time.monotonic() + 6.0  # thrice the threshold: the subject of this test is time
    while time.monotonic() < still:
        seen.append(states())
    stack.start_service("ingest", "runstream_ingestor", "gateway_ops")
    behind = time.monotonic() + 3.0
    while time.monotonic() < behind:
        seen.append(states())
    out, errors = alive.communicate("end\n", timeout=120)
    print(len(seen), "answers", sorted({tuple(sorted(answer.items())) for answer in seen}))
    assert all(answer == {"dead": "crashed", "alive": "running"} for answer in seen), seen
    assert out.strip() == "True", errors
    wait_for(lambda: states() == {"dead": "crashed", "alive": "finished"}, "the end of the run that lives")
