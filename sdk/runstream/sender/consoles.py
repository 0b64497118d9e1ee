"""Console files of the node's training processes as records of lines.

Progress bars are collapsed to their last form, secrets are masked, and the rate of lines is limited.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

from runstream.capture.masking import mask_line
from runstream.errors import SpoolError
from runstream.sender.companion import Companions
from runstream.spool import files
from runstream.spool.folder import SpoolFolder, StreamMeta, read_meta

LOG = logging.getLogger("runstream.sender")
MAX_LINE_CHARACTERS = 8192
LINES_PER_S = 200.0
BURST_LINES = 5000.0
PARTIAL_S = 2.0
"""How often the newest form of a line without its end (a progress bar) is sent."""
_READ_BYTES = 1 << 18
_PLACE = struct.Struct("@QQ")
_KINDS = {"stdout": "OUTPUT_STDOUT", "stderr": "OUTPUT_STDERR"}
_PUNCH = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE


class Consoles:
    """Reads every console folder of a spool, and follows the new ones."""

    def __init__(self, spool: SpoolFolder, companions: Companions, *, only_dead: bool = False) -> None:
        """Make a reader of the consoles. `only_dead`: skip consoles that are still written to."""
        self._root = spool.root / "console"
        self._only_dead = only_dead
        self._companions = companions
        self._followed: dict[str, _Console] = {}

    def turn(self) -> set[str]:
        """Read the new output. Return the writer ids of the processes whose consoles are still open."""
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._root):
                if entry.name not in self._followed and entry.is_dir():
                    if self._only_dead and files.is_locked(Path(entry.path) / "lock"):
                        continue
                    with contextlib.suppress(SpoolError, OSError):
                        self._followed[entry.name] = _Console(Path(entry.path))
        for name, console in list(self._followed.items()):
            try:
                if console.turn(self._companions):
                    del self._followed[name]
                    shutil.rmtree(console.folder, ignore_errors=True)
            except (SpoolError, OSError) as error:
                LOG.warning("console of %s: %s", name, error)
        return set(self._followed)


def has_leftovers(spool: SpoolFolder) -> bool:
    """Return whether there is console output of processes that no longer live."""
    folders = (spool.root / "console").glob("*/meta.json")
    return any(not files.is_locked(path.with_name("lock")) for path in folders)


class _Console:
    """Both outputs of one process."""

    def __init__(self, folder: Path) -> None:
        """Open the console's files. Raises SpoolError, OSError."""
        self.folder = folder
        self._meta = read_meta(folder)
        self._limit = _Limit()
        self._files = [_Follower(folder / name, kind, self._meta, self._limit) for name, kind in _KINDS.items()]

    def turn(self, companions: Companions) -> bool:
        """Read the new output; return True when nothing will follow. Raises SpoolError."""
        ended = not files.is_locked(self.folder / "lock")  # checked before reading: a dead process's output is there
        write = companions.of(self._meta).record
        idle = [follower.turn(write, ended) for follower in self._files]
        return ended and all(idle)


class _Limit:
    """A token bucket that limits the rate of lines."""

    def __init__(self) -> None:
        self._tokens = BURST_LINES
        self._last = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._tokens + (now - self._last) * LINES_PER_S, BURST_LINES)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class _Follower:
    """One file: the place up to which it was read, and the number of lines from it.

    The place is written after the lines are in the spool: when a sender dies in between, its successor writes the
    same lines again, under the same numbers, which changes nothing.
    """

    def __init__(self, path: Path, kind: str, meta: StreamMeta, limit: _Limit) -> None:
        self._kind = kind
        self._stream = meta.writer_id
        self._limit = limit
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._place = path.with_suffix(".place")
        try:
            self._offset, self._line = _PLACE.unpack(self._place.read_bytes())
        except (OSError, struct.error):
            self._offset, self._line = 0, 0
        self._partial_shown = b""
        self._partial_at = 0.0
        self._left_out = 0
        self._done = False

    def turn(self, write: Callable[..., None], ended: bool) -> bool:
        """Read the new output; return True when nothing will follow."""
        if self._done:
            return True
        data = os.pread(self._fd, _READ_BYTES, self._offset)
        end = data.rfind(b"\n") + 1
        if not end and (ended or len(data) == _READ_BYTES):
            end = len(data)  # the last line has no end, or is too long
        if end:
            for raw in data[:end].removesuffix(b"\n").split(b"\n"):
                self._emit(write, raw)
            self._offset += end
            self._partial_shown = b""
            self._place.write_bytes(_PLACE.pack(self._offset, self._line))
            _free(self._fd, self._offset)
        elif data and data != self._partial_shown and time.monotonic() - self._partial_at >= PARTIAL_S:
            self._partial_shown, self._partial_at = data, time.monotonic()
            self._write(write, self._line, collapse(data))
        more = len(data) == _READ_BYTES or (end and end < len(data))
        if self._left_out and not more and (ended or self._limit.take()):
            self._write(write, self._line, f"... {self._left_out} lines left out: more than {LINES_PER_S:g} a second")
            self._line += 1
            self._left_out = 0
        if ended and not data:
            os.close(self._fd)
            self._done = True
        return self._done

    def _emit(self, write: Callable[..., None], raw: bytes) -> None:
        if self._limit.take():
            self._write(write, self._line, collapse(raw))
            self._line += 1
        else:
            self._left_out += 1

    def _write(self, write: Callable[..., None], line: int, text: str) -> None:
        write("console", {"line": line, "output": self._kind, "text": text, "stream": self._stream})


def collapse(raw: bytes) -> str:
    """Return a line as it looks in the end: text that a carriage return overwrote is removed; secrets are masked."""
    parts = [part for part in raw.split(b"\r") if part]
    text = parts[-1].decode("utf-8", "replace") if parts else ""
    return mask_line(text.replace("\0", "")[:MAX_LINE_CHARACTERS])


def _free(fd: int, end: int) -> None:
    """Free the disk space of the part that was read.

    The file keeps its length, so that tee appends at the same place.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).fallocate(
            fd, _PUNCH, ctypes.c_long(0), ctypes.c_long(end & ~0xFFF)
        ) if end > 1 << 16 else None
