"""`runstream up` leaves nobody behind when it is killed, has its folder and its ports for itself, and ends when a
service cannot start."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.test_up import Up
from tests.support.long import LONG, long
from tests.support.processes import free_port, tail, wait_for
from tests.support.stack import clean_environment

MOMENTS = 12 if LONG else 3
GONE_WITHIN_S = 5.0


def processes_of(data: Path) -> list[str]:
    """What runs with this folder in its command line or its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found += [f"{process.pid} {' '.join(words[:4])}"] * any(str(data) in word for word in words)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.mark.timeout(400)
def test_killed_at_any_moment_of_its_start_it_leaves_nobody_and_starts_again(up: Up) -> None:
    up.start()
    assert up.service.stop() == 0
    moments = [3.0 * (number + random.Random(14).random()) / MOMENTS for number in range(MOMENTS)]
    for moment in moments:
        up.service.start()
        time.sleep(moment)  # the moment is what is tested
        up.service.kill()
        deadline = time.monotonic() + GONE_WITHIN_S
        while (left := processes_of(up.data)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, f"killed after {moment:.2f} s, alive {GONE_WITHIN_S:g} s later: {left}"
    up.start()
    up.service.kill()
    up.start()  # at once: it waits for those that still end
    assert up.service.stop() == 0


@pytest.mark.timeout(200)
def test_a_second_one_is_refused_at_once_and_told_who_has_the_folder_or_the_ports(up: Up, tmp_path: Path) -> None:
    addresses = up.start()
    http = addresses.http
    same_folder = _refused(tmp_path, "data", ",".join(str(free_port()) for _ in range(7)))
    assert f"is in use by process {up.service.pid} " in same_folder and http in same_folder, same_folder
    same_ports = _refused(tmp_path, "other", up.command[up.command.index("--ports") + 1])
    assert http in same_ports and f"(runstream_query), of `runstream up`, process {up.service.pid}" in same_ports
    assert up.service.running() and up.service.stop() == 0


@pytest.mark.timeout(200)
def test_a_leftover_of_an_older_version_is_named(tmp_path: Path) -> None:
    """It reads getppid() after its imports, finds 1, and never ends."""
    data = tmp_path / "data"
    data.mkdir()
    environment = {**clean_environment(), "RUNSTREAM_CONTROL_URL": f"sqlite:///{data}/control.db"}
    command = [sys.executable, "-c", "import time; time.sleep(600)", "--exit-with-parent"]
    with subprocess.Popen(command, env=environment) as orphan:
        try:
            refused = _refused(tmp_path, "data", ",".join(str(free_port()) for _ in range(7)))
        finally:
            orphan.kill()
    assert "left behind" in refused and f"kill {orphan.pid}" in refused, refused


@pytest.mark.timeout(200)
def test_a_service_that_cannot_start_ends_it_with_the_reason(tmp_path: Path) -> None:
    """A setting that cannot be used: the service says so, three times, and not for ever."""
    environment = {**clean_environment(), "RUNSTREAM_WRITER_MAX_POINTS": "many"}
    ports = ",".join(str(free_port()) for _ in range(7))
    command = [sys.executable, "-m", "runstream.cli", "up", "--data", str(tmp_path / "data"), "--ports", ports]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 1
    assert "ingest ended with status 1, 3 times in a row" in done.stderr, done.stderr
    assert "RUNSTREAM_WRITER_MAX_POINTS is 'many'" in done.stderr and "Traceback" not in done.stderr
    assert not processes_of(tmp_path / "data")


@long
@pytest.mark.timeout(300)
def test_a_service_that_ran_and_cannot_start_again_ends_it_with_the_reason(up: Up) -> None:
    """The port of its health is taken while it restarts."""
    addresses = up.start()
    host, _, port = addresses.gateway_ops.rpartition(":")
    ingest = next(
        child for child in psutil.Process(up.service.pid).children() if "runstream_ingestor" in child.cmdline()
    )
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ingest.kill()
        wait_for(lambda: _bound(taken, host, int(port)), "the port")
        taken.listen()
        assert up.service.wait_ended(240) == 1
    assert "ingest ended with status 1, 10 times in a row" in tail(up.log), tail(up.log)
    assert not processes_of(up.data)


def _bound(sock: socket.socket, host: str, port: int) -> bool:
    try:
        sock.bind((host, port))
        return True
    except OSError:
        return False


def _refused(folder: Path, data: str, ports: str) -> str:
    """What it says. Fails when it does not end soon."""
    command = [sys.executable, "-m", "runstream.cli", "up", "--data", str(folder / data), "--ports", ports]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr
