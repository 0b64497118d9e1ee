"""What becomes of a run when its process forks, spawns, is told to end, or just ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runstream.api import Api, NotFoundError, Run
from runstream.cli import main as command_line
from runstream.spool.folder import SpoolFolder
from tests.e2e import pools
from tests.support.long import LONG
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spool(spool: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return spool


def start(script: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **variables}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def ended(path: str, state: str) -> Run:
    """The run, once it has the state."""

    def has_it() -> bool:
        try:
            return Api().run(path).state == state
        except NotFoundError:
            return False

    wait_for(has_it, f"{path} to be {state}")
    return Api().run(path)


_POOLS = [
    (method, when_full)
    for method in ("fork", "forkserver", "spawn", "loader")
    for when_full in ("drop_new", "drop_oldest")
]
"""Each third of them has both policies, and all methods but one."""


@pytest.mark.parametrize(("method", "when_full"), _POOLS if LONG else _POOLS[::3])
def test_pools_log_into_a_full_spool_without_deadlock_loss_or_repetition(
    stack: ServiceStack, spool: Path, method: str, when_full: str
) -> None:
    offline = {**os.environ, "RUNSTREAM_MODE": "offline"}
    script = str(Path(pools.__file__))
    done = subprocess.run(
        [sys.executable, script, method, when_full],
        capture_output=True,
        text=True,
        env=offline,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert command_line(["sync", str(spool)]) == 0
    run = Api().run(f"pools/{method}-{when_full}")
    found = run.completeness
    workers = pools.TASKS * pools.STEPS
    assert found["points_logged"] == told["logged"] + workers
    for number in (0, 17, pools.TASKS - 1):
        (series,) = run.series([f"worker/{number}"])
        assert list(series.steps) == list(range(pools.STEPS))
        assert list(series.values) == [float(number * 1000 + step) for step in range(pools.STEPS)]
    # Every point is stored once, or was given up and counted.
    if when_full == "drop_new":
        assert found["points_dropped"] == told["dropped"] > 0
        assert found["points_received"] == told["logged"] + workers
        assert not found["missing"], "what was never recorded has no number"
    else:
        assert found["points_dropped"] + found["points_received"] == told["logged"] + workers
        assert found["points_dropped"] > 0
        (gap,) = found["missing"]
        assert gap["rank"] == 0
        assert gap["first"] == 1, "the oldest records were given up, of the process that filled the spool"
    assert list(SpoolFolder(spool).stream_folders()) == []


def test_sigterm_drains_and_leaves_a_preempted_run(spool: Path) -> None:
    script = """
import time, runstream
run = runstream.init(project="ends", id="preempted")
for step in range(1000):
    run.log({"value": step})
print("logged", flush=True)
time.sleep(60)
"""
    process = start(script)
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM, "it ends by the signal, as without us"
    run = Api().run("ends/preempted")
    assert run.state == "preempted"
    assert run.completeness["verdict"] == "complete" and run.completeness["points_stored"] == 1000


def test_a_programs_own_sigterm_handler_stays_in_charge(spool: Path) -> None:
    script = """
import signal, sys, time, runstream
def checkpoint(number, frame):
    runstream.log({"checkpoint": 1})
    sys.exit(0)
signal.signal(signal.SIGTERM, checkpoint)
run = runstream.init(project="ends", id="own-handler")
run.log({"value": 1})
print("logged", flush=True)
time.sleep(60)
"""
    process = start(script)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    run = ended("ends/own-handler", "finished")
    assert sorted(run.metrics()) == ["checkpoint", "value"]


@pytest.mark.parametrize(
    ("last_words", "state", "exit_code"),
    [
        ("sys.exit(7)", "failed", 7),
        ("sys.exit('no')", "failed", 1),
        ("sys.exit()", "finished", 0),
        ("raise RuntimeError('boom')", "failed", 1),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(1)", "failed", 130),
        ("pass", "finished", 0),
        ("os._exit(0)", "crashed", -1),
        ("os.execv('/bin/true', ['/bin/true'])", "crashed", -1),
        ("os.abort()", "crashed", -1),
        ("runstream.mark_preempting(); sys.exit(1)", "preempted", 1),
    ],
)
def test_how_a_process_ends_is_the_runs_state(spool: Path, last_words: str, state: str, exit_code: int) -> None:
    run_id = f"end-{abs(hash(last_words))}"
    script = f"""
import os, signal, sys, time, runstream
run = runstream.init(project="ends", id={run_id!r})
run.log({{"value": 1.0}})
{last_words}
"""
    process = start(script)
    process.communicate(timeout=30)
    run = ended(f"ends/{run_id}", state)
    assert run.completeness["points_stored"] == 1 and run.completeness["verdict"] == "complete"


def test_two_runs_of_one_process_and_a_with_block(spool: Path) -> None:
    script = """
import runstream
with runstream.init(project="several", id="one") as one:
    with runstream.init(project="several", id="two", reinit="create_new") as two:
        for step in range(10):
            one.log({"value": step}); two.log({"value": 10 * step})
"""
    process = start(script)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    for name, factor in (("one", 1), ("two", 10)):
        (series,) = ended(f"several/{name}", "finished").series(["value"])
        assert list(series.values) == [float(factor * step) for step in range(10)]


def test_an_elastic_restart_continues_the_run_at_its_next_step(spool: Path) -> None:
    script = """
import os, runstream
run = runstream.init(project="elastic")
for _ in range(10):
    run.log({"value": run.step})
run.finish(timeout=20)
print(run.id, run.starting_step, run.resumed)
"""
    ranks = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "RUNSTREAM_RUN_ID": "job-1"}
    for restart, (first, resumed) in enumerate([(0, False), (10, True), (20, True)]):
        process = start(script, **ranks, TORCHELASTIC_RESTART_COUNT=str(restart))
        out, errors = process.communicate(timeout=30)
        assert out.split() == ["job-1", str(first), str(resumed)], errors
    (series,) = Api().run("elastic/job-1").series(["value"])
    assert list(series.steps) == list(range(30)) and list(series.values) == [float(step) for step in range(30)]


def test_auto_resume_goes_on_with_what_crashed_and_begins_anew_after_what_ended_well(
    spool: Path, tmp_path: Path
) -> None:
    script = """
import os, sys, runstream
run = runstream.init(project="auto", resume="auto")
for _ in range(5):
    run.log({"value": run.step})
print(run.id, run.starting_step, flush=True)
if sys.argv[1] == "die":
    os._exit(1)
run.finish(timeout=20)
"""
    found = []
    for how in ("die", "end", "end"):
        process = start(script, how)
        out, errors = process.communicate(timeout=30)
        found.append(out.split())
        assert len(found[-1]) == 2, errors
    (first, zero), (second, five), (third, again) = found
    assert first == second != third
    assert (zero, five, again) == ("0", "5", "0")


def test_the_sender_may_be_a_thread(spool: Path) -> None:
    script = """
import os, sys, runstream
run = runstream.init(project="threads", id="thread")
for step in range(2000):
    run.log({"value": step})
pid = os.fork()
if pid == 0:
    run.log({"child": 1.0}); os._exit(0)
os.waitpid(pid, 0)
print(run.finish(timeout=30), any("runstream-sender" in t.name for t in __import__("threading").enumerate()))
"""
    process = start(script, RUNSTREAM_SENDER="thread")
    out, errors = process.communicate(timeout=60)
    assert out.split() == ["True", "True"] and process.returncode == 0, errors
    assert not errors
    assert command_line(["sync", str(spool)]) == 0
    run = Api().run("threads/thread")
    assert run.completeness["verdict"] == "complete" and run.completeness["points_stored"] == 2001


def test_a_run_that_is_still_written_is_synced_as_far_as_it_is(spool: Path) -> None:
    script = """
import sys, runstream
run = runstream.init(project="live", id="live", mode="offline")
for step in range(500):
    run.log({"value": step})
print("half", flush=True)
sys.stdin.readline()
for step in range(500):
    run.log({"value": 500 + step})
run.finish()
"""
    process = start(script)
    assert process.stdout is not None
    process.stdout.readline()
    assert command_line(["sync", str(spool)]) == 0
    assert Api().run("live/live").completeness["points_stored"] == 500
    assert Api().run("live/live").state == "running"
    process.communicate("go on\n", timeout=30)
    assert command_line(["sync", str(spool)]) == 0
    run = Api().run("live/live")
    assert run.completeness["points_stored"] == 1000 and run.completeness["verdict"] == "complete"
    assert run.state == "finished"
