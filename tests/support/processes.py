"""Processes and ports, for tests."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

_given: set[int] = set()


def free_port() -> int:
    """A port on which nothing listens, below those that the kernel gives to outgoing connections: one of those could be
    taken again before its service has bound it."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def tail(path: Path, size: int = 3000) -> str:
    return path.read_bytes()[-size:].decode("utf-8", "replace") if path.exists() else "(no log)"


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Ask until it is true. Raises AssertionError naming what did not come. The patience is for machines that are busy
    with something else; what must be quick is measured."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:g} s"
        time.sleep(0.02)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


class Service:
    """A Python module as a process, with a log; ends with the test. With `cwd` it is started as an installed command
    is: in that folder, and without importing from it."""

    def __init__(
        self, module: str, log: Path, environment: Mapping[str, str], *arguments: str, cwd: Path | None = None
    ) -> None:
        self.module = module
        self.log = log
        self._environment = dict(environment)
        self._arguments = arguments
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Service:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *(["-P"] if self._cwd else []), "-m", self.module, *self._arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment},
                cwd=self._cwd,
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait_answering(self, url: str, timeout_s: float = 90.0) -> None:
        """Raises AssertionError with the end of the log."""
        deadline = time.monotonic() + timeout_s
        while not answers(url):
            assert self.running(), f"{self.module} ended:\n{tail(self.log)}"
            assert time.monotonic() < deadline, f"{self.module} did not answer at {url}:\n{tail(self.log)}"
            time.sleep(0.05)

    def wait_ended(self, timeout_s: float = 30.0) -> int:
        assert self._process is not None
        return self._process.wait(timeout_s)

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(30)

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, and its exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait_ended(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.module} did not end on SIGTERM:\n{tail(self.log)}") from None
