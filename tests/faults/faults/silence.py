"""Runs that live and are not heard: behind a hundred dead streams, and while the server does not listen.

In these rounds a run counts as crashed after two heartbeats of silence.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil

from tests.faults.faults.base import Round
from tests.faults.findings import Findings
from tests.faults.lab import Lab
from tests.faults.workload import ROOT

DEAD_STREAMS = 120
_DEAD_ROWS = 5
_DELAY_S = 0.4
"""Of what the sender says: one dead stream takes seconds, one after the other minutes, eight at a time a minute."""
_SHORT_S = 30.0
_USUAL_S = 60.0
_AWAY_S = 50.0
"""A run's last heartbeat may be 15 s old when nobody listens any more."""
_NOTED_S = 7.0
"""The writer notes every 5 s how far it has listened."""
_HEARD_S = 15.0


def dead_streams(round: Round) -> None:
    """A hundred streams of processes that died without a word, in the spool of runs that live, whose sender dies: the
    next one finds them all at once, on a slow link, and the living ones' heartbeats go on."""
    lab, workload = round.lab, round.workload
    _set_crash_after(lab, _SHORT_S)
    project = f"{workload.project}-dead-{workload.runs[0]}"
    apart = workload.folder / "dead"
    environment = {
        **workload.environment(0),
        "RUNSTREAM_CONSOLE": "off",
        "RUNSTREAM_DIR": str(apart),
        "RUNSTREAM_SENDER": "none",  # or they would be sent while their process lives
        "RUNSTREAM_SPOOL_SEGMENT_KB": "64",
    }
    command = [sys.executable, "-m", "tests.faults.dead_streams", project, str(DEAD_STREAMS), str(_DEAD_ROWS)]
    made = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    round.expect(made.returncode == 9, f"the dead streams: {made.stderr[-2000:]}")
    link = lab.to_gateway[lab.gateways[0]]
    link.delay_s = _DELAY_S  # for connections that are made from now on
    for folder in (apart / "streams").iterdir():
        found = workload.spools[0] / "streams" / folder.name
        folder.rename(found)
        os.utime(found)  # newer than the living ones: of streams that wait, the newest is the first
    for sender in workload.senders():
        with contextlib.suppress(psutil.NoSuchProcess):
            sender.kill()
    began = time.monotonic()  # the living go on while the sender works through the dead
    while (waited := time.monotonic() - began) < 4 * _SHORT_S and (
        waited < _SHORT_S or _stored_of_dead(round) < DEAD_STREAMS * _DEAD_ROWS
    ):
        time.sleep(1.0)
    link.delay_s = 0.0
    link.cut()


def check_dead(round: Round, findings: Findings) -> None:
    """What the dead ones left is there too."""
    as_usual(round, findings)
    found = _stored_of_dead(round)
    round.expect(found == DEAD_STREAMS * _DEAD_ROWS, f"{found} of {DEAD_STREAMS * _DEAD_ROWS} rows of dead streams")


def nobody_listens(round: Round) -> None:
    """All writers, or all that takes data, die or stand still for longer than a run may be silent, beside runs that
    live."""
    lab = round.lab
    _set_crash_after(lab, _SHORT_S)
    time.sleep(_NOTED_S)
    names = list(dict.fromkeys([*lab.writers, *(lab.gateways if round.random.random() < 0.5 else ())]))
    dies = round.random.random() < 0.5
    for name in names:
        if dies:
            lab.kill(name)
        else:
            lab.signal(name, signal.SIGSTOP)
    time.sleep(_AWAY_S)
    for name in names:
        if dies:
            lab.launch(name)
        else:
            lab.signal(name, signal.SIGCONT)
    for name in names:
        lab.wait_ready(name)
    time.sleep(_HEARD_S)


def as_usual(round: Round, findings: Findings) -> None:
    _set_crash_after(round.lab, _USUAL_S)


def _stored_of_dead(round: Round) -> int:
    project = f"{round.workload.project}-dead-{round.workload.runs[0]}"
    return round.lab.checker.count(project, [f"dead-{number}" for number in range(DEAD_STREAMS)])


def _set_crash_after(lab: Lab, seconds: float) -> None:
    lab.kill("query")
    lab.revive("query", {"RUNSTREAM_CRASH_AFTER_S": f"{seconds:g}"})
