"""Whose turn it is in a sender: hundreds of streams that dead processes left cost a living run nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstream.api import Api, NotFoundError
from runstream.spool.folder import SpoolFolder
from tests.support.long import long
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

DEAD = 900
ROWS = 100
PATIENCE_S = 1200
"""For making and for sending the dead streams; a busy machine makes three a second."""
CRASH_AFTER_S = 20.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceStack]:
    stack = ServiceStack(tmp_path_factory.mktemp("stack"))
    stack.extra["RUNSTREAM_CRASH_AFTER_S"] = str(CRASH_AFTER_S)
    stack.start()
    yield stack
    stack.stop()


LEAVE = f"""
import sys, runstream
for index in range(int(sys.argv[1])):
    run = runstream.init(project="left", id=f"dead-{{index}}", mode="offline",
                         settings=runstream.Settings(capture_environment=False))
    for step in range({ROWS}):
        run.log({{"value": step}})
    run.finish()
"""
LIVE = """
import sys, time, runstream
run = runstream.init(project="left", id="living")
step = 0
while not sys.stdin in __import__("select").select([sys.stdin], [], [], 0.05)[0]:
    run.log({"value": float(step), "logged_at": time.time()}, step=step)
    step += 1
print(run.finish(timeout=60))
"""


def leave_streams(spool: Path, count: int) -> None:
    """Streams of dead processes that no sender has seen yet, as of a server that was away."""
    subprocess.run([sys.executable, "-c", LEAVE, str(count)], check=True, timeout=PATIENCE_S)
    for folder in SpoolFolder(spool).stream_folders():
        meta = json.loads((folder / "meta.json").read_text())
        (folder / "meta.json").write_text(json.dumps({**meta, "offline": False}))


@long
@pytest.mark.timeout(180 + 2 * PATIENCE_S)
def test_a_living_run_is_sent_first_and_never_shown_crashed(stack: ServiceStack, spool: Path) -> None:
    leave_streams(spool, DEAD)
    stack.services["ingest"].stop()
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: (spool / "sender.lock").exists(), "the sender")
    time.sleep(3)  # it tries in vain, as beside a server that is away
    stack.start_service("ingest", "runstream_ingestor", "gateway_ops")
    back = time.monotonic()
    api = Api()

    def state() -> str:
        try:
            return str(api.run("left/living").state)
        except NotFoundError:
            return ""

    wait_for(lambda: state() != "", "the living run on the server")
    first = time.monotonic() - back
    states, behind = [], []
    until = time.monotonic() + 2 * CRASH_AFTER_S
    client = stack.clickhouse.client()
    newest = "SELECT max(value) FROM points WHERE run = 'living' AND metric = 'logged_at'"
    while time.monotonic() < until or len(states) < 16:  # on a busy machine it takes seconds to ask
        states.append(state())
        behind.append(time.time() - float(client.query(newest).result_rows[0][0]))
        time.sleep(0.25)
    assert process.stdin is not None
    print(f"first seen after {first:.1f} s, behind by {max(behind[8:]):.1f} s at most", set(states))
    out, errors = process.communicate("end\n", timeout=90)
    assert set(states) == {"running"}, states
    assert max(behind[8:]) < CRASH_AFTER_S / 2, "a living run's values arrive within seconds"
    assert out.strip() == "True", errors
    wait_for(lambda: not list(SpoolFolder(spool).stream_folders()), "all that was left", PATIENCE_S)
    print(f"all stored {time.monotonic() - back:.1f} s after the server was back")
    dead = "SELECT count() FROM points FINAL WHERE run LIKE 'dead-%'"
    assert client.query(dead).result_rows == [(DEAD * ROWS,)]
    verdicts = {api.run(f"left/dead-{index}").completeness["verdict"] for index in range(0, DEAD, DEAD // 10)}
    assert verdicts == {"complete"}
