"""Capture of a process's output at the level of file descriptors, which includes output of C code and of children.

Descriptors 1 and 2 become pipes into `tee`, which writes to their former target and appends to a file that the
node's sender reads. So the training process runs no thread for it, output from before a SIGKILL is kept, and
the terminal shows the same as without it. The output of a notebook's cells bypasses the descriptors (`notebook.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

from runstream.base.notices import Notices
from runstream.errors import SpoolError
from runstream.spool import files

if TYPE_CHECKING:
    from runstream.capture.notebook import CellOutput

OUTPUTS = {"stdout": 1, "stderr": 2}
_PIPE_BYTES = 1 << 20
_GOODBYE_S = 0.5
_captured = False
"""True while a run of this process captures; only one run does at a time."""


class Capture:
    """The capture of this process's output, from `start()` to `stop()`."""

    def __init__(self, folder: Path, limit_bytes: int, notices: Notices) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._notices = notices
        self._lock = files.FileLock(folder / "lock")
        self._outputs: list[_Output] = []
        self._cells: list[CellOutput] = []

    @classmethod
    def start(cls, stream: Path, limit_bytes: int, notices: Notices) -> Capture | None:
        """Start the capture, and return it.

        Returns None where it is impossible (no tee, descriptors closed) or another run captures already.
        """
        global _captured
        tee = _find("tee")
        if _captured or tee is None or not all(_is_open(fd) for fd in OUTPUTS.values()):
            return None
        folder = stream.parent.parent / "console" / stream.name
        try:
            files.private_folder(folder.parent)
            folder.mkdir(mode=0o700)
            capture = cls(folder, limit_bytes, notices)
            if not capture._lock.acquire():
                return None
            _flush()
            for name, fd in OUTPUTS.items():
                capture._outputs.append(_Output(fd, folder / name, tee, capture._lock))
            if "ipykernel" in sys.modules:
                from runstream.capture.notebook import CellOutput, kernel_streams

                capture._cells = [CellOutput(name, stream, folder / name) for name, stream in kernel_streams().items()]
            # This file comes last, and in one step: the sender reads folders that have it. (tee opens its file at some
            # later time, so the folder has its final name from the start.)
            hidden = folder / ".meta.json"
            hidden.write_bytes((stream / "meta.json").read_bytes())
            hidden.rename(folder / "meta.json")
        except (OSError, SpoolError) as error:
            notices.say(f"the console is not captured: {error}")
            return None
        _captured = True
        return capture

    def check_liveness(self) -> None:
        """Stop the capture where tee has died, or nobody empties the file: printing must go on in any case."""
        waiting = sum(_disk_bytes(self._folder / name) for name in OUTPUTS)
        if any(not output.alive for output in self._outputs) or waiting > self._limit_bytes:
            self.stop()
            self._notices.say("the console is no longer captured" + (": too much waits" if waiting else ""))

    def stop(self) -> None:
        """Restore the descriptors, and wait a moment for the output that is still in the pipes."""
        global _captured
        for cell in self._cells:
            cell.stop()
        self._cells = []
        if self._outputs:
            _flush()
            outputs, self._outputs = self._outputs, []
            for output in outputs:
                output.restore()
            for output in outputs:
                output.wait()
            self._lock.release()
            _captured = False


class _Output:
    """One descriptor, and the tee behind it."""

    def __init__(self, fd: int, file: Path, tee: str, lock: files.FileLock) -> None:
        self._fd = fd
        self._saved = os.dup(fd)
        os.set_inheritable(self._saved, False)
        self._read_end, write_end = _pseudo_terminal(fd) if os.isatty(fd) else _pipe()
        file.touch(mode=0o600)
        try:
            self._tee = subprocess.Popen(
                [tee, "-i", "-a", str(file)],
                stdin=self._read_end,
                stdout=self._saved,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # signals to the trainer's group must not reach tee: it ends with its input
                pass_fds=lock.descriptors(),  # the file is written to as long as tee lives
            )
        except OSError:
            for descriptor in (self._saved, self._read_end, write_end):
                os.close(descriptor)
            raise
        self._pipe = os.fstat(write_end)
        os.dup2(write_end, fd)
        os.close(write_end)

    @property
    def alive(self) -> bool:
        return self._tee.poll() is None

    def restore(self) -> None:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(self._fd), self._pipe):  # else somebody has redirected it since
                os.dup2(self._saved, self._fd)

    def wait(self) -> None:
        """Wait for tee to print the rest; where tee is dead, print the rest in its place."""
        if not self.alive:
            self._drain()
        os.close(self._read_end)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._tee.wait(_GOODBYE_S)  # it lives longer where a child of the trainer still has the pipe
        if self._tee.returncode is None:
            self._tee.returncode = 0  # tee outlives this process on purpose, which is no leak
        os.close(self._saved)

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            while select.select([self._read_end], [], [], 0)[0]:
                data = os.read(self._read_end, 1 << 16)
                if not data:
                    return
                os.write(self._saved, data)


def _pipe() -> tuple[int, int]:
    read_end, write_end = os.pipe()
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return read_end, write_end


def _pseudo_terminal(fd: int) -> tuple[int, int]:
    """Open a terminal of the same size that does not change the output: progress bars stay progress bars."""
    master, slave = os.openpty()
    with contextlib.suppress(OSError, termios.error):
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        size = fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
    return master, slave


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _find(program: str) -> str | None:
    for folder in os.get_exec_path():
        path = os.path.join(folder, program)  # noqa: PTH118  # no pathlib on the way of every start
        if os.access(path, os.X_OK):
            return path
    return None


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _disk_bytes(path: Path) -> int:
    """Return the bytes that a file takes on disk, without those that the sender has read and freed."""
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0
