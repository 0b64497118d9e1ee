"""One file of the spool, while its process writes to it."""

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
        """Prepare to pack rows of these keys.

        `ident` is the place of their definition in the segment, which is unique there.
        """
        self.keys = keys
        self.ident = ident
        self.segment = segment
        """The segment of the definition; another segment does not know these keys."""
        self.count = len(keys)
        self.head = Struct("@II").pack(format.KIND_ROW, ident)
        self.layout = Struct(f"@8sQqq{self.count}d")
        """The layout of a row: `head` (kind and keyset, as bytes, which is faster), number, time, step, values."""
        self.pack = self.layout.pack
        self.size = self.layout.size
        self.length = Struct("@I").pack(self.size)
        self.fill = Struct(f"@{format.PREFIX.size}x{self.size}s").pack_into
        """Copies a row's bytes after its prefix. (It is faster than to assign a slice.)"""
        self.span = format.PREFIX.size + self.size
        """The number of bytes that a row takes in the segment."""
        self.last = 0
        """The offset of the last row of these keys; 0 while there is none."""


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
        """The view through which records are filled, until `revoke()`."""
        self.hidden = hidden
        """The file's name until the chain before leads to it; None once it has its own name."""
        self.file = file
        """The file to write to, where files are not mapped."""
        self.records_before = 0
        self.points_before = 0
        """The numbers of records and points in the segments before."""
        self.keysets: dict[tuple[str, ...], Keyset] = {}
        self.suspect = False
        """True when a record that was just filled may be missing, and must be checked."""
        self.broken = False
        """True when its file was truncated under the mapping: bytes that are written here are in no file."""
        self.revoked = False
        """True when only the thread that ended the stream may write here."""

    def begin_behind(self, records: int, points: int) -> None:
        """Prepare to follow a segment that ends with these numbers. No other thread may know this segment yet."""
        self.records_before, self.points_before = records, points
        self.begin(records, points)

    def note_broken(self) -> None:
        """Take no more records. The handler of SIGBUS calls this."""
        self.broken = self.suspect = True
        self.limit = 0

    def revoke(self) -> None:
        """Let `view` refuse every write, with TypeError or ValueError.

        A claim that is empty now stays empty until the caller fills it. A record that is being copied at this moment is
        filled first. Raises OSError.
        """
        self.revoked = True
        deadline = time.monotonic() + _RELEASE_S
        while True:
            try:
                self.view.release()
                break
            except (BufferError, SystemError):  # in use, where no interpreter lock excludes other threads
                if time.monotonic() > deadline:
                    break  # the free-threaded prototype of CPython loses count of its users
                time.sleep(0)
        if self.file is not None:
            self.file.revoke()

    def write_header(self) -> None:
        """Write the numbers of the segments before into the header. The call may be repeated."""
        format.SEGMENT_HEADER.pack_into(
            self.mapped, 0, format.MAGIC, format.HEADER_BYTES, 0, self.index, self.size, time.time_ns() // 1000
        )
        format.U64.pack_into(self.mapped, format.POINTS_OFFSET, self.points_before)
        format.U64.pack_into(self.mapped, format.RECORDS_OFFSET, self.records_before)
        if self.file is not None:
            self.file.write_last(self.mapped[: format.HEADER_BYTES], 0)

    def write_dropped(self, points: int) -> None:
        """Write how many points the process has given up so far."""
        format.U32.pack_into(self.mapped, format.DROPPED_OFFSET, min(points, 2**32 - 1))
        if self.file is not None:
            place = format.DROPPED_OFFSET
            self.file.write_last(self.mapped[place : place + 4], place)

    def seal(self, end: int) -> None:
        """Write where the records end; none follows. The call may be repeated."""
        format.U64.pack_into(self.mapped, format.SEALED_OFFSET, end)
        if self.file is not None:
            place = format.SEALED_OFFSET
            self.file.write_last(self.mapped[place : place + 8], place)


class File:
    """The descriptor of a segment that is not mapped. Its opener closes it when no thread writes to it any more."""

    __slots__ = ("_fd", "_last_fd")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._last_fd = fd

    def write(self, data: memoryview | bytes | bytearray, offset: int) -> None:
        """Write all of the data, or write it nowhere once the file is revoked. Raises OSError."""
        _write(self._fd, data, offset)

    def write_last(self, data: memoryview | bytes | bytearray, offset: int) -> None:
        """Write all of the data, also when the file is revoked. Raises OSError."""
        _write(self._last_fd, data, offset)

    def revoke(self) -> None:
        """Let the descriptor of other threads lead nowhere, and keep one for the caller.

        A write that is in the kernel at this moment is completed. Raises OSError.
        """
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self._last_fd = os.dup(self._fd)
            os.dup2(nowhere, self._fd, inheritable=False)
        finally:
            os.close(nowhere)

    def close(self) -> None:
        """Close the file. No thread may be writing."""
        for fd in {self._fd, self._last_fd}:
            os.close(fd)


def _write(fd: int, data: memoryview | bytes | bytearray, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written
