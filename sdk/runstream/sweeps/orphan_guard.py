"""The process between an agent and a trial's program: when the agent is gone for any reason, the program ends too.

`trial_process.py` starts it as `python -I -S orphan_guard.py FD GRACE_S LOCK_FDS -- PROGRAM ARGUMENT...`. It uses the
standard library only, and no thread. FD is a socket: the agent sends `signal N` and `kill`, one a line; the guard
answers with JSON lines: first {"group": pgid}, at the end {"exit": status, "tail": last lines of stderr, "error": why
it did not start}. The end of the socket means that the agent died: then the program gets SIGTERM, GRACE_S seconds,
SIGKILL.

The program leads a session of its own. On Linux the guard adopts the processes that its descendants leave behind
(torchrun's workers have sessions of their own), and ends them with the program. Only runstream's sender lives on; it
sends the records that the trial logged. LOCK_FDS stay open until the end: a GPU is free when no process of the trial
runs any more.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
TAIL_BYTES = 4096
LEFT_ALONE_S, LEFT_TERM_S = 0.5, 3.0
"""How long processes that the program leaves behind may end by themselves, and how long after SIGTERM."""
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)


def main() -> None:
    place = sys.argv.index("--")
    fd, grace_s = int(sys.argv[1]), float(sys.argv[2])
    for lock in sys.argv[3:place]:
        os.set_inheritable(int(lock), False)
    agent = socket.socket(fileno=fd)
    os.set_inheritable(fd, False)
    adopt_orphans()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    guard = OrphanGuard(agent, grace_s)
    guard.start(sys.argv[place + 1 :])
    guard.watch()
    guard.clear()
    guard.report()


def adopt_orphans() -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class OrphanGuard:
    def __init__(self, agent: socket.socket, grace_s: float) -> None:
        self.agent: socket.socket | None = agent
        self.grace_s = grace_s
        self.pid = 0
        self.status: int | None = None
        self.tail = b""
        self.error = ""
        self.kill_at = float("inf")
        self.inbox = b""
        self.stderr = -1
        self.wake, wake_end = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_end, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)

    def start(self, arguments: list[str]) -> None:
        self.stderr, write_end = os.pipe()
        failed, failing = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            become(arguments, write_end, failing, parent)
        os.close(write_end)
        os.close(failing)
        with os.fdopen(failed, "rb") as pipe:
            self.error = pipe.read().decode("utf-8", "replace")
        self.send({"group": self.pid})

    def watch(self) -> None:
        """Handle messages until the program has ended."""
        while self.status is None:
            wait_s = None if self.kill_at == float("inf") else max(self.kill_at - time.monotonic(), 0)
            self.step(wait_s)
            if time.monotonic() >= self.kill_at:
                self.kill_at = float("inf")
                self.kill()

    def step(self, wait_s: float | None) -> None:
        """Wait for news, and handle it."""
        sources = [self.wake] + ([self.agent] if self.agent else []) + ([self.stderr] if self.stderr >= 0 else [])
        ready, _, _ = select.select(sources, [], [], wait_s)
        if self.wake in ready:
            with suppress(BlockingIOError):
                os.read(self.wake, 4096)
        if self.stderr in ready:
            self.forward()
        if self.agent in ready:
            self.obey()
        self.reap()

    def obey(self) -> None:
        assert self.agent is not None
        try:
            data = self.agent.recv(4096)
        except OSError:
            data = b""
        if not data:
            self.agent = None
            self.signal(signal.SIGTERM)
            self.kill_at = time.monotonic() + self.grace_s
        *lines, self.inbox = (self.inbox + data).split(b"\n")
        for line in lines:
            command, _, number = line.decode("ascii", "replace").partition(" ")
            if command == "kill":
                self.kill()
            elif command == "signal" and number.isdigit():
                self.signal(int(number))

    def signal(self, number: int) -> None:
        if self.status is None:
            with suppress(OSError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in descendants():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def forward(self) -> None:
        """Copy the program's stderr to the agent's stderr; its end is kept as the reason of a failure."""
        try:
            data = os.read(self.stderr, 1 << 16)
        except OSError:
            data = b""
        if not data:
            os.close(self.stderr)
            self.stderr = -1
            return
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        with suppress(OSError):  # no process reads it any more, which is no error of the program
            while data:
                data = data[os.write(2, data) :]

    def reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.pid:
                    self.status = os.waitstatus_to_exitcode(status)

    def clear(self) -> None:
        """End the processes that the program left behind, and read the rest of its stderr."""
        for number, wait_s in ((0, LEFT_ALONE_S), (signal.SIGTERM, LEFT_TERM_S), (signal.SIGKILL, LEFT_TERM_S)):
            left = descendants()
            for pid in left if number else ():
                with suppress(OSError):
                    os.kill(pid, number)
            deadline = time.monotonic() + wait_s
            while left and time.monotonic() < deadline:
                self.step(0.02)
                left = descendants()
            if not left:
                break
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        while self.stderr >= 0 and select.select([self.stderr], [], [], 0)[0]:
            self.forward()

    def report(self) -> None:
        tail = self.tail.decode("utf-8", "replace")
        self.send({"exit": self.status or 0, "tail": tail, "error": self.error})

    def send(self, value: dict[str, object]) -> None:
        if self.agent is not None:
            with suppress(OSError):
                self.agent.sendall(json.dumps(value).encode() + b"\n")


def become(arguments: list[str], stderr: int, failing: int, parent: int) -> None:
    """Become the trial's program, in the forked child. Never returns."""
    try:
        os.setsid()
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number in (*IGNORED, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(stderr, 2)
        os.execvp(arguments[0], arguments)  # noqa: S606  # no shell is what is wanted
    except OSError as error:
        os.write(failing, f"{arguments[0]}: {error.strerror}".encode())
    finally:
        os._exit(127)


def descendants() -> list[int]:
    """Return the processes below this one, except runstream's sender and its children.

    Empty where there is no /proc.
    """
    parents: dict[int, int] = {}
    try:
        entries = os.listdir("/proc")  # noqa: PTH208  # this file uses only the smallest parts of the standard library
    except OSError:
        return []
    for name in entries:
        if name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    parents[int(name)] = int(parent)
    found: list[int] = []
    level = [os.getpid()]
    while level:
        level = [pid for pid, parent in parents.items() if parent in level and not is_sender(pid)]
        found += level
    return found


def is_sender(pid: int) -> bool:
    with suppress(OSError):
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
            words = file.read().split(b"\0")
        return b"-m" in words and b"runstream.sender" in words
    return False


if __name__ == "__main__":
    main()
