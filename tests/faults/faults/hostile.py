"""A hostile user beside honest ones, whose points must all arrive, in time."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import zstandard

from runstream.api import ApiError
from runstream.errors import RunstreamError
from tests.faults.faults.base import Round
from tests.faults.faults.topic import check_letters
from tests.faults.findings import Findings
from tests.faults.hostile_user import Door
from tests.faults.lab import Lab
from tests.faults.truth import step_of
from tests.faults.workload import ROOT
from tests.field.wire import Client
from tests.support.processes import wait_for

LATE_S = 60.0
"""On a machine that is busy with laboratories; beside a writer that ended nothing arrives at all."""
_TRIES = 3
_PATIENCE_S = 180.0
_PLACES = ("decode", "prepare", "documents", "insert")
"""Of the writer, at each of which a batch of the hostile user raises."""
_ERRORS = ("KeyError", "MemoryError", "OverflowError", "RecursionError", "TypeError", "UnicodeError")
_LOTS = 2
_BOMB_BYTES = 512 << 20
_ROOM_BYTES = 256 << 20
"""What bombs may cost the query service, with all else that it does meanwhile."""


def honest(lab: Lab, folder: Path) -> dict[str, Any]:
    """Trainers that log a little for as long as it takes."""
    return {"rows_per_s": 30.0}


def hostile_user(round: Round) -> None:
    """In the honest runs' project, and on their node: documents of any text, depth and size, batches that hold nothing
    together, batches that the writer can do nothing with, bodies that unpack to gigabytes."""
    lab = round.lab
    failing = ",".join(f"writer.{place}:{round.random.choice(_ERRORS)}:@{_run(round, place)}" for place in _PLACES)
    _restart_writers(round, {"RUNSTREAM_FAILPOINTS": failing})
    pids = {name: service.pid for name, service in lab.services.items()}
    user = _documents(round)
    try:
        _send_broken(round)
        _send_failing(round)
        _send_bombs(round)
        try:
            _, said = user.communicate(timeout=_PATIENCE_S)
            round.expect(user.returncode == 0, f"the hostile user: {said.decode(errors='replace')[-2500:]}")
        except subprocess.TimeoutExpired:
            round.expect(False, f"the hostile user has not ended after {_PATIENCE_S:g} s")
        _expect_honest_in_time(round)
    finally:
        user.kill()
        user.wait()
    ended = [name for name, pid in pids.items() if not lab.services[name].running() or lab.services[name].pid != pid]
    round.expect(not ended, f"a hostile user ended {ended}")
    _restart_writers(round, {})


def check_hostile(round: Round, findings: Findings) -> None:
    """What the writer can do nothing with is put aside, with its reason, and nothing else is; no verdict hides it."""
    lab, project = round.lab, round.workload.project
    failing = {_run(round, place) for place in _PLACES}
    reasons = lab.checker.ask(
        "SELECT DISTINCT run, reason FROM rejects WHERE project = {project:String}", project=f"main/{project}"
    )
    own = {run for run, _ in reasons if run in failing or run in round.workload.runs}
    round.expect(own == failing, f"of {sorted(failing)} {sorted(own)} were put aside: {reasons}")
    for run in failing:
        try:
            verdict = lab.api.run(f"{project}/{run}").completeness["verdict"]
        except ApiError:
            continue  # all of it was put aside: nothing is known of such a run
        round.expect(verdict != "complete", f"{run} is complete, and its batch was put aside")
    if lab.kafka:
        round.workload.folder.joinpath("poison").write_text(str(len(failing)))
        check_letters(round, findings)


def _run(round: Round, place: str) -> str:
    return f"{round.workload.runs[0]}-cannot-{place}"


def _restart_writers(round: Round, extra: dict[str, str]) -> None:
    for writer in round.lab.writers:
        round.lab.kill(writer)
        round.lab.launch(writer, extra)
    for writer in round.lab.writers:
        round.lab.wait_ready(writer)


def _door(round: Round) -> Door:
    node = round.lab.nodes()[0]
    return Door(node["RUNSTREAM_BASE_URL"].removeprefix("http://"), node["RUNSTREAM_GATEWAY"], round.lab.key)


def _documents(round: Round) -> subprocess.Popen[bytes]:
    order = {
        "project": f"{round.workload.project}-hostile-{round.workload.runs[0]}",
        "door": asdict(_door(round)),
        "seed": round.random.randrange(1 << 30),
        "lots": _LOTS,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.hostile_user", json.dumps(order)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**round.workload.environment(0), "RUNSTREAM_CONSOLE": "off"},
        cwd=ROOT,
    )


def _broken(round: Round, client: Client) -> Iterator[tuple[str, bytes]]:
    """Batches that no gateway may take."""
    whole = client.batch({"text": {"key": "words", "value": "words"}})
    yield "nothing", b""
    yield "no message", round.random.randbytes(2000)
    yield "half a batch", whole[: len(whole) // 2]
    yield "a name of control characters", client.batch({"text": {"key": "\x1b[2J\n", "value": ""}})
    yield "an empty name", client.batch({"table": {"key": "", "columns": [], "rows": 0, "rows_json": "[]"}})
    yield "a histogram without edges", client.batch({"histogram": {"key": "h", "counts": [1.0], "edges": []}})
    yield "a path out of the run", client.batch({"file": {"path": "../../key", "sha256": "0" * 64, "size_bytes": 1}})
    yield "no checksum", client.batch({"media": {"key": "m", "sha256": "x", "size_bytes": 1}})


def _sent(client: Client, batch: bytes) -> str:
    """Why it was refused; empty: it was taken. A busy machine is asked again."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(RunstreamError):
            return client.send(batch)
    return client.send(batch)


def _send_broken(round: Round) -> None:
    client = Client(_door(round), round.workload.project, f"{round.workload.runs[0]}-broken")  # type: ignore[arg-type]
    for name, batch in _broken(round, client):
        round.expect(_sent(client, batch) != "", f"the gateway takes {name}")
    other = Client(_door(round), round.workload.project, f"{round.workload.runs[0]}-other")  # type: ignore[arg-type]
    stolen = other.batch({"text": {"key": "words", "value": "words"}})
    round.expect(_sent(client, stolen) != "", "the gateway takes a batch of another run's stream")


def _send_failing(round: Round) -> None:
    for place in _PLACES:
        client = Client(_door(round), round.workload.project, _run(round, place))  # type: ignore[arg-type]
        start = {"start": {"world_size": 1, "config_json": "{}", "environment": {}}}
        problem = _sent(client, client.batch(start, {"text": {"key": "words", "value": "words"}}))
        # Embedded, a batch is acked when it is stored: there its sender is told.
        told = f"writer.{place}" in problem
        round.expect(told != bool(round.lab.kafka), f"what the writer cannot do, in {place}: {problem!r}")


def _send_bombs(round: Round) -> None:
    packer = zstandard.ZstdCompressor().compressobj(size=_BOMB_BYTES)
    bomb = b"".join(packer.compress(bytes(16 << 20)) for _ in range(_BOMB_BYTES >> 24)) + packer.flush()
    door, pid = _door(round), round.lab.services["query"].pid
    before = _peak_bytes(pid)
    for headers, wanted in (({}, 401), ({"authorization": f"Bearer {door.key}"}, 413)):
        request = urllib.request.Request(
            f"http://{door.http}/clickhouse/", bomb, {"content-encoding": "zstd", **headers}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status = int(response.status)
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError:
            continue  # the body was refused before it had come
        round.expect(status == wanted, f"a bomb of {_BOMB_BYTES} bytes is answered with {status}, not {wanted}")
    taken = _peak_bytes(pid) - before
    round.expect(taken < _ROOM_BYTES, f"bombs took {taken >> 20} MiB of the query service")


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


def _expect_honest_in_time(round: Round) -> None:
    """What every honest trainer has logged by now is stored soon, and their project lists."""
    workload, checker = round.workload, round.lab.checker
    wanted = {}
    for stream in workload.streams:
        attempt = stream.attempts[-1]
        returned = attempt.counts()[1]
        recent = range(max(returned - 50, 0), returned)
        wanted[stream.run, stream.rank] = max(step_of(attempt.order, index) for index in recent)

    def all_arrived() -> bool:
        newest = {
            (run, rank): step
            for run, rank, step in checker.ask(
                "SELECT run, rank, max(step) FROM points WHERE project = {project:String} GROUP BY run, rank",
                project=f"main/{workload.project}",
            )
        }
        return all(newest.get(key, -1) >= step for key, step in wanted.items())

    try:
        wait_for(all_arrived, "honest points", LATE_S)
    except AssertionError as error:
        round.expect(False, f"{error}, beside a hostile user")
    try:
        listed = {run.id for run in round.lab.api.runs(workload.project)}
    except ApiError as error:
        round.expect(False, f"the project does not list beside a hostile user: {error}")
        return
    round.expect(listed >= set(workload.runs), f"of {workload.runs} {sorted(listed)} are listed")
