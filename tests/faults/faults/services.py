"""What the services lean on: `runstream up`, the control database, object storage, keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.faults.base import Round
from tests.faults.faults.network import unheard_senders
from tests.faults.lab import ForeignLab
from tests.faults.uplab import GONE_WITHIN_S, UpLab
from tests.support.stack import clean_environment

_PAGE = 4096


def kill_up(round: Round) -> None:
    """SIGKILL of `runstream up` itself, two or three times: none of its services outlives it, and the next `up` on the
    same folder starts. The last time it is killed again within its start."""
    lab = round.lab
    assert isinstance(lab, UpLab)
    for number in range(round.random.randint(2, 3)):
        round.pause(0.5, 2.0)
        lab.kill("up")
        left = lab.left_behind()
        round.expect(not left, f"{GONE_WITHIN_S:g} s after `up` was killed: {left}")
        if number == 1:
            lab.launch("up")
            round.pause(0.2, 3.0)
            lab.kill("up")
            left = lab.left_behind()
            round.expect(not left, f"{GONE_WITHIN_S:g} s after `up` was killed within its start: {left}")
        lab.revive("up")


def damage_control(round: Round) -> None:
    """Random bytes over four pages of the control database while `up` is down: it refuses to start and says what to
    do; `runstream control restore` puts the newest copy back, which does not know the round's runs."""
    lab = round.lab
    assert isinstance(lab, UpLab)
    round.pause(0.5, 2.0)
    stream = round.random.choice(round.workload.streams)
    round.workload.kill(stream)  # so that a run has two attempts, of which the copy knows neither
    round.workload.attempt(stream)
    round.workload.wait_logging(150)  # the second attempt has its epoch by then
    lab.kill("up")
    lab.left_behind()
    _scribble(lab.data / "control.db", round)
    refused = lab.launch("up")
    try:
        status = refused.wait_ended(40.0)
        said = lab.log_of("up")
        round.expect(status == 1 and "control restore" in said, f"`up` over a damaged database: {status}, {said}")
    except subprocess.TimeoutExpired:
        round.expect(False, f"`up` starts over a damaged control database: {lab.log_of('up')}")
        lab.kill("up")
        lab.left_behind()
    restored = subprocess.run(
        [sys.executable, "-m", "runstream.cli", "control", "restore", "--data", str(lab.data)],
        capture_output=True,
        text=True,
        env={**clean_environment(), **lab._broken()},
        check=False,
    )
    round.expect(restored.returncode == 0, f"control restore: {restored.stdout}{restored.stderr}")
    lab.revive("up")


def _scribble(database: Path, round: Round) -> None:
    pages = database.stat().st_size // _PAGE
    with database.open("r+b") as file:
        for page in round.random.sample(range(pages), min(4, pages)):
            file.seek(page * _PAGE)
            file.write(round.random.randbytes(_PAGE))
        os.fsync(file.fileno())


def postgres_away(round: Round) -> None:
    """PostgreSQL dies and is away for some seconds, twice; a trainer's next attempt begins meanwhile."""
    lab = round.lab
    assert isinstance(lab, ForeignLab)
    for _ in range(2):
        round.pause(0.5, 2.0)
        lab.postgres.kill()
        round.pause(0.5, 1.5)
        stream = round.random.choice(round.workload.streams)
        round.workload.kill(stream)
        round.workload.attempt(stream)
        round.pause(2.0, 5.0)
        lab.postgres.start()


def storage_failing(round: Round) -> None:
    """Object storage is refused, half-open, cut, or stopped for some seconds at a time."""
    lab = round.lab
    assert isinstance(lab, ForeignLab)
    for how in round.random.sample(["refusing", "half-open", "stopped", "slow"], 4):
        round.pause(0.3, 1.0)
        if how == "refusing":
            lab.to_s3.refusing = True
            lab.to_s3.cut()
        elif how == "half-open":
            lab.to_s3.stopped = True
        elif how == "slow":
            lab.to_s3.bytes_per_s = 2000.0
        else:
            lab.s3.signal(signal.SIGSTOP)
        round.pause(1.5, 4.0)
        lab.to_s3.heal()
        lab.s3.signal(signal.SIGCONT)
        if how == "half-open":
            lab.to_s3.cut()


def revoke_key(round: Round) -> None:
    """The key is revoked while all log with it, with batches under way, and every connection is cut. Some trainers'
    next attempts have a new one in their environment, and so has `runstream sync`: everything arrives."""
    lab, workload = round.lab, round.workload
    round.pause(0.5, 2.0)
    with unheard_senders(round):  # else the gateway would notice within 15 s
        key = lab.replace_key()
    round.pause(1.0, 4.0)
    workload.set_environment(RUNSTREAM_API_KEY=key)
    for stream in round.random.sample(workload.streams, 2):
        if round.random.random() < 0.5:
            workload.kill(stream)
        workload.attempt(stream)
    time.sleep(1.0)
    lab.use_key(key)
