"""A trial's program, from its agent's side: a guard process runs it, and ends it when the agent has died."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_GUARD = Path(__file__).with_name("orphan_guard.py")
_TAIL_LINES = 5
_LINE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class ExitResult:
    """How a program ended."""

    status: int
    """The exit status; below 0, the negative number of the signal that killed the program."""
    message: str
    """The reason of a failure, for people; it is empty when the program ended with 0."""


class TrialProcess:
    """A program that starts when this object is made. Wait for `fileno()` to be readable, then call `poll()`."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        grace_s: float,
        lock_fds: Sequence[int] = (),
    ) -> None:
        """Start the guard, which starts the program.

        `lock_fds` stay open in the guard until everything of the program has ended. Raises OSError when no process can
        be started; a program that is not found counts as ended.
        """
        self._socket, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-S", str(_GUARD), str(theirs.fileno()), str(grace_s)]
        command += [*(str(fd) for fd in lock_fds), "--", *arguments]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                env=dict(environment),
                pass_fds=(theirs.fileno(), *lock_fds),
                start_new_session=True,  # the agent itself passes Ctrl-C of its terminal on
            )
        finally:
            theirs.close()
        self._data = b""
        self._group = 0
        self.ended: ExitResult | None = None

    def fileno(self) -> int:
        return self._socket.fileno()

    def signal(self, number: int) -> None:
        """Send a signal to the program's process group."""
        self._send(f"signal {number}\n")

    def kill(self) -> None:
        """Kill the program and everything that it started."""
        self._send("kill\n")

    def poll(self) -> ExitResult | None:
        """Return how the program ended, or None while it runs. Blocks unless `fileno()` is readable."""
        data = self._receive()
        if data:
            self._data += data
            return None
        self._process.wait()
        self._socket.close()
        news: dict[str, object] = {}
        for line in self._data.splitlines():
            with contextlib.suppress(ValueError):
                news |= json.loads(line)
        self.ended = self._read(news)
        return self.ended

    def _read(self, news: Mapping[str, object]) -> ExitResult:
        if news.get("error"):
            return ExitResult(127, f"it did not start: {news['error']}")
        if "exit" not in news:  # the guard itself was killed: nothing else would end its program
            with contextlib.suppress(OSError, ValueError):
                os.killpg(int(str(news["group"])), signal.SIGKILL) if news.get("group") else None
            return ExitResult(self._process.returncode or 1, "the process that watches over it was killed")
        status = int(str(news["exit"]))
        return ExitResult(status, failure(status, str(news.get("tail", ""))) if status else "")

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(1 << 16)
        except OSError:
            return b""

    def _send(self, line: str) -> None:
        with contextlib.suppress(OSError):  # the guard has ended, and poll() reports it
            self._socket.sendall(line.encode())


def failure(status: int, tail: str) -> str:
    """Return what went wrong: the signal, or the last lines of the program's error output, or its exit status."""
    lines = [line.rpartition("\r")[2].strip() for line in tail.splitlines()]
    last = "\n".join(
        [line[:_LINE_LIMIT] for line in lines if line and not line.startswith("runstream: ")][-_TAIL_LINES:]
    )
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}" + (f": {last}" if last else "")
    return last.rpartition("\n")[2] if _is_exception(last) else last or f"exit status {status}"


def _is_exception(last: str) -> bool:
    """Return True when the last line is that of a Python traceback, which names the exception and its message."""
    line = last.rpartition("\n")[2]
    name = line.partition(":")[0]
    return name.replace(".", "").isidentifier() and name.endswith(("Error", "Exception", "Interrupt", "Exit"))
