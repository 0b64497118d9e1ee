"""One file of the spool while its process writes to it."""

from __future__ import annotations

import mmap
import os
import time
from struct import Struct

from runstream.spool import format
from runstream.spool.claims import Chain

_RELEASE_S = 1.0


class Keyset:
    """Keys that are logged together, as they were defined in one segment."""

    __slots__ = (
        "count",
        "fill",
        "head",
        "ident",
        "keys",
        "last",
        "layout",
        "length",
        "pack",
        "segment",
        "size",
        "span",
    )

    def __init__(self, keys: tuple[str, ...], ident: int, segment: Segment) -> None:
        """`ident`: where the definition lies in the segment, which no other definition shares."""
        self.keys = keys
        self.ident = ident
        self.segment = segment
        """Another segment does not know these keys."""
        self.count = len(keys)
        self.head = Struct("@II").pack(format.KIND_ROW, ident)
        self.layout = Struct(f"@8sQqq{self.count}d")
        """A row: `head` (kind and keyset; bytes are copied sooner than numbers), number, time, step, values."""
        self.pack = self.layout.pack
        self.size = self.layout.size
        self.length = Struct("@I").pack(self.size)
        self.fill = Struct(f"@{format.PREFIX.size}x{self.size}s").pack_into
        """Copy a row's bytes behind its prefix. (Faster than to assign a slice.)"""
        self.span = format.PREFIX.size + self.size
        """Bytes that a row takes in the segment."""
        self.last = 0
        """Where the last row of these keys lies; 0: there is none yet."""


class Segment(Chain):
    """A segment's memory and its chain of claims. Any thread may claim; `spool.writer` has the loop."""

    __slots__ = (
        "__weakref__",
        "broken",
        "file",
        "hidden",
        "index",
        "keysets",
        "mapped",
        "points_before",
        "records_before",
        "revoked",
        "size",
        "suspect",
        "view",
    )

    def __init__(
        self, index: int, size: int, mapped: mmap.mmap | bytearray, hidden: str | None, file: File | None = None
    ) -> None:
        super().__init__(size - format.RESERVE_BYTES)  # the rest is for the stream's last record
        self.index = index
        self.size = size
        self.mapped = mapped
        self.view = memoryview(mapped)
        """Through it the records are filled, until `revoke()`."""
        self.hidden = hidden
        """Its file's name until the chain before leads to it; None: its own name."""
        self.file = file
        """Where files are not mapped: what is written to."""
        self.records_before = 0
        self.points_before = 0
        """What the stream has in the segments before."""
        self.keysets: dict[tuple[str, ...], Keyset] = {}
        self.suspect = False
        """A record that was just filled may not be there after all: look again."""
        self.broken = False
        """Its file was truncated under the mapping: what is written here is kept by nobody."""
        self.revoked = False
        """Only who ended the stream writes here any more."""

    def begin_behind(self, records: int, points: int) -> None:
        """Prepare to be the successor of a segment that ends with these counts. Nobody may know this segment yet."""
        self.records_before, self.points_before = records, points
        self.begin(records, points)

    def note_broken(self) -> None:
        """Take no more records. Called within the handler of SIGBUS."""
        self.broken = self.suspect = True
        self.limit = 0

    def revoke(self) -> None:
        """Let `view` refuse to be written to, with TypeError or ValueError: what is not filled now stays so until the
        caller fills it. A record that is being copied at this moment is filled first. Raises OSError."""
        self.revoked = True
        deadline = time.monotonic() + _RELEASE_S
        while True:
            try:
                self.view.release()
                break
            except (BufferError, SystemError):  # in use, where no interpreter lock keeps others away
                if time.monotonic() > deadline:
                    break  # the free-threaded prototype of CPython loses count of its users
                time.sleep(0)
        if self.file is not None:
            self.file.revoke()

    def write_header(self) -> None:
        """Say what came before. May be repeated."""
        format.SEGMENT_HEADER.pack_into(
            self.mapped, 0, format.MAGIC, format.HEADER_BYTES, 0, self.index, self.size, time.time_ns() // 1000
        )
        format.U64.pack_into(self.mapped, format.POINTS_OFFSET, self.points_before)
        format.U64.pack_into(self.mapped, format.RECORDS_OFFSET, self.records_before)
        if self.file is not None:
            self.file.write_last(self.mapped[: format.HEADER_BYTES], 0)

    def write_dropped(self, points: int) -> None:
        """Say how many points the process has given up so far."""
        format.U32.pack_into(self.mapped, format.DROPPED_OFFSET, min(points, 2**32 - 1))
        if self.file is not None:
            place = format.DROPPED_OFFSET
            self.file.write_last(self.mapped[place : place + 4], place)

    def seal(self, end: int) -> None:
        """Say where the records end: none follows. May be repeated."""
        format.U64.pack_into(self.mapped, format.SEALED_OFFSET, end)
        if self.file is not None:
            place = format.SEALED_OFFSET
            self.file.write_last(self.mapped[place : place + 8], place)


class File:
    """The descriptor of a segment that is not mapped. Whoever opened it closes it when nobody writes there any more."""

    __slots__ = ("_fd", "_last_fd")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._last_fd = fd

    def write(self, data: memoryview | bytes | bytearray, offset: int) -> None:
        """Write all of it; to nowhere once the file is revoked. Raises OSError."""
        _write(self._fd, data, offset)

    def write_last(self, data: memoryview | bytes | bytearray, offset: int) -> None:
        """Write all of it, also when the file is revoked. Raises OSError."""
        _write(self._last_fd, data, offset)

    def revoke(self) -> None:
        """Let the descriptor that others may be about to write to lead nowhere, and keep one of the caller's own. What
        is in the kernel at this moment is written. Raises OSError."""
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self._last_fd = os.dup(self._fd)
            os.dup2(nowhere, self._fd, inheritable=False)
        finally:
            os.close(nowhere)

    def close(self) -> None:
        """Close it. Nobody may be writing."""
        for fd in {self._fd, self._last_fd}:
            os.close(fd)


def _write(fd: int, data: memoryview | bytes | bytearray, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written
