"""What the SDK promises, against the real servers: processes that die, senders that die, servers that refuse."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runstream.api import Api, NotFoundError, Run
from runstream.cli import main as command_line
from runstream.spool import files
from runstream.spool.folder import SpoolFolder
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

HERE = Path(__file__).parent


def python(script: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **variables}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def found(path: str) -> Run | None:
    try:
        return Api().run(path)
    except NotFoundError:
        return None


def sender_pid(spool: Path) -> int | None:
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        if "runstream.sender" in command and str(spool) in command:
            return int(process.pid)
    return None


def kill_sender(spool: Path) -> bool:
    """Whether there was one."""
    pid = sender_pid(spool)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pid is not None


FOREVER = """
import sys, runstream
run = runstream.init(project="dying", id=sys.argv[1])
step = 0
while True:
    run.log({"value": float(step), "double": 2.0 * step}, step=step)
    step += 1
    if step % 25 == 0:
        print(step, flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_every_log_that_returned_before_sigkill_is_stored_once(spool: Path, seed: int) -> None:
    run_id = f"killed-{seed}"
    process = python(FOREVER, run_id)
    assert process.stdout is not None and process.stderr is not None
    lines = random.Random(seed).randrange(5, 200)
    returned = 0
    for _ in range(lines):
        returned = int(process.stdout.readline())
    process.kill()
    rest = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    returned = max([returned, *(int(word) for word in rest)])
    wait_for(lambda: (run := found(f"dying/{run_id}")) is not None and run.state == "crashed", "the verdict")
    run = Api().run(f"dying/{run_id}")
    assert run.completeness["verdict"] == "complete"
    (series,) = _whole(run, "value")
    steps, values = series
    assert steps == list(range(len(steps))) and len(steps) >= returned
    assert values == [float(step) for step in steps]


def _whole(run: Run, metric: str) -> list[tuple[list[int], list[float]]]:
    ranks: dict[int, tuple[list[int], list[float]]] = {}
    for series in run.series([metric]):
        steps, values = ranks.setdefault(series.rank, ([], []))
        steps.extend(series.steps)
        values.extend(series.values)
    return [ranks[rank] for rank in sorted(ranks)]


@pytest.mark.timeout(240)
def test_a_sender_that_is_killed_is_replaced_and_nothing_is_lost_or_doubled(spool: Path) -> None:
    name = f"replaced-{spool.parent.name}"  # its own, also where it is repeated beside one server
    script = f"""
import time, runstream
run = runstream.init(project="senders", id="{name}")
for step in range(3000):
    run.log({{"value": float(step)}})
    time.sleep(0.002)
print(run.finish(timeout=150))
"""
    process = python(script)
    killed = set()
    while process.poll() is None:
        pid = sender_pid(spool)
        if pid is not None and pid not in killed and len(killed) < 3:
            time.sleep(0.5)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.05)
    out, errors = process.communicate()
    assert out.strip() == "True", errors + (spool / "sender.log").read_text()
    assert len(killed) >= 2
    run = Api().run(f"senders/{name}")
    assert run.completeness["verdict"] == "complete"
    assert _whole(run, "value") == [(list(range(3000)), [float(step) for step in range(3000)])]


def test_two_senders_never_send_the_same_stream(spool: Path) -> None:
    process = python(FOREVER, "two-senders")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    wait_for(lambda: files.is_locked(spool / "sender.lock"), "the run's own sender to hold the lock")
    command = [sys.executable, "-m", "runstream.sender", "--dir", str(spool)]
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert second.returncode == 0, "a second sender finds the lock held and ends"
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


def test_offline_runs_wait_for_sync(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = """
import runstream
run = runstream.init(project="offline", id="later", mode="offline", config={"lr": 0.5, "deep": {"a": [1, 2]}})
for step in range(100):
    run.log({"value": step, "note": f"step {step}"})
run.finish()
"""
    process = python(script)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert found("offline/later") is None
    assert command_line(["status", str(spool)]) == 0
    assert "offline/later" in capsys.readouterr().out
    assert command_line(["sync", str(spool)]) == 0
    assert "1 streams sent, 0 left" in capsys.readouterr().out
    run = Api().run("offline/later")
    assert run.completeness["verdict"] == "complete" and run.state == "finished"
    assert run.config == {"lr": 0.5, "deep.a": [1, 2]}
    assert command_line(["sync", str(spool)]) == 0


def test_a_wrong_key_costs_nothing_is_said_at_finish_and_a_good_one_sends_what_waits(spool: Path) -> None:
    script = """
import runstream
run = runstream.init(project="p", id="wrong-key")
for step in range(100):
    run.log({"value": step})
print(run.finish(timeout=6))
"""
    process = python(script, RUNSTREAM_API_KEY="rs_000000000000_" + "x" * 43, RUNSTREAM_SILENT="false")
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 0 and out.strip() == "False"
    assert "unauthenticated" in errors and f"runstream sync {spool}" in errors and "Traceback" not in errors
    assert len(list(SpoolFolder(spool).stream_folders())) == 1, "what was logged waits"
    assert command_line(["sync", str(spool), "--timeout", "40"]) == 0, "with the key of this process's environment"
    assert Api().run("p/wrong-key").completeness["verdict"] == "complete"


def test_no_server_costs_nothing_and_the_next_sync_sends(stack: ServiceStack, spool: Path) -> None:
    script = """
import sys, time, runstream
started = time.monotonic()
run = runstream.init(project="p", id="no-server")
for step in range(10_000):
    run.log({"value": step})
logged = time.monotonic() - started
stored = run.finish(timeout=1)
print(stored, logged < 5)
"""
    process = python(script, RUNSTREAM_GATEWAY="127.0.0.1:1")
    out, errors = process.communicate(timeout=60)
    assert out.split() == ["False", "True"], errors
    wait_for(lambda: sender_pid(spool) is not None, "the sender, which tries for ten minutes")
    wait_for(lambda: not kill_sender(spool), "the end of all senders")  # where they are slow to start there are several
    (folder,) = SpoolFolder(spool).stream_folders()
    meta = folder / "meta.json"
    meta.write_text(meta.read_text().replace("127.0.0.1:1", stack.address("gateway")))
    assert command_line(["sync", str(spool)]) == 0
    assert Api().run("p/no-server").completeness["points_stored"] == 10_000


def test_a_resumed_run_rewrites_old_steps_and_the_later_attempt_wins(spool: Path) -> None:
    script = """
import sys, runstream
attempt = int(sys.argv[1])
run = runstream.init(project="resumed", id="again", resume=sys.argv[2])
for step in range(100 if attempt == 1 else 50):
    run.log({"value": attempt * 1000 + step}, step=step + (0 if attempt == 1 else 25))
sys.exit(0 if run.finish(timeout=30) else 3)
"""
    for attempt, resume in (("1", "never"), ("2", "must")):
        process = python(script, attempt, resume)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    expected = [2000 + step - 25 if 25 <= step < 75 else 1000 + step for step in range(100)]
    run = Api().run("resumed/again")
    assert _whole(run, "value") == [(list(range(100)), [float(value) for value in expected])]
    assert run.summary["value"] == 1099
    assert run.state == "finished"
    process = python(script, "3", "never", RUNSTREAM_SILENT="false", RUNSTREAM_FINISH_TIMEOUT_S="2")
    _, errors = process.communicate(timeout=60)
    assert "choose another id" in errors


def test_forked_workers_log_into_the_same_run_and_its_state_is_the_parents(spool: Path) -> None:
    script = """
import os, sys, runstream
run = runstream.init(project="forks", id="forked")
for step in range(50):
    run.log({"parent": step})
children = []
for worker in range(3):
    pid = os.fork()
    if pid == 0:
        for step in range(50):
            run.log({f"worker-{worker}": step}, step=step)
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
for step in range(50, 100):
    run.log({"parent": step})
sys.exit(0 if run.finish(timeout=30) else 3)
"""
    process = python(script)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    wait_for(lambda: Api().run("forks/forked").completeness["verdict"] == "complete", "the workers' streams")
    run = Api().run("forks/forked")
    assert run.state == "finished"
    assert _whole(run, "parent")[0][0] == list(range(100))
    for worker in range(3):
        assert _whole(run, f"worker-{worker}")[0][0] == list(range(50))


def test_secrets_stay_out_of_everything_that_is_stored(stack: ServiceStack, spool: Path) -> None:
    canary = "canary-5f3a9c"
    script = """
import sys, runstream
run = runstream.init(project="secrets", id="canary", config={"lr": 1})
run.log({"value": 1})
sys.exit(0 if run.finish(timeout=30) else 3)
"""
    process = python(script, "--db-password", canary, MY_TOKEN=canary, DATABASE_URL=f"postgres://me:{canary}@db/x")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    client = stack.clickhouse.client()
    fields = client.query("SELECT key, value FROM run_fields WHERE run = 'canary'").result_rows
    assert any(key == "variables" for key, _ in fields)
    assert canary not in str(fields) and stack.key not in str(fields)
    for log in stack.folder.glob("*.log"):
        assert canary not in log.read_text() and stack.key not in log.read_text(), log
