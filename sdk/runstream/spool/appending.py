"""The spool where files are not mapped (filesystems.py says where): the same bytes, by plain writes.

Each record costs two system calls more; the promise stays: when `append` returns, the kernel has the record.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from pathlib import Path

from runstream.errors import SpoolError
from runstream.spool import format
from runstream.spool.filesystems import may_map
from runstream.spool.writer import SpoolWriter


class AppendingWriter(SpoolWriter):
    """A `SpoolWriter` that keeps a segment in memory and writes each record out as it is appended."""

    _fd = -1
    _left_fd = -1
    """While rolling: the segment that is left behind."""
    _written = 0

    def append_row(self, keys: tuple[str, ...], values: Iterable[object], step: int, time_us: int) -> None:
        with self._lock:
            super().append_row(keys, values, step, time_us)
            self._write_out()

    def _append_sized(self, kind: int, keyset: int, data: bytes, time_us: int | None) -> int:
        number = super()._append_sized(kind, keyset, data, time_us)
        self._write_out()
        return number

    def _write_out(self) -> None:
        """All that follows the first new record's length word, then the word: a reader sees all or nothing."""
        start, end = self._written, self._offset
        if start >= end:
            return
        try:
            _write_all(self._fd, self._view[start + 8 : end], start + 8)
            _write_all(self._fd, self._view[start : start + 8], start)
        except OSError as error:
            # It stays in memory, and goes out with the next record that can be written.
            raise SpoolError(f"cannot write to the spool in {self._folder}: {error.strerror}") from error
        self._written = end

    def _make_segment(self, path: Path, size: int) -> bytearray:
        if self._fd >= 0:
            self._write_out()
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.ftruncate(fd, size)
        except OSError as error:
            raise SpoolError(f"cannot write the spool file {path}: {error.strerror}") from error
        self._left_fd, self._fd = self._fd, fd
        return bytearray(size)

    def _switch_to(self, mapped: mmap.mmap | bytearray, size: int) -> None:
        super()._switch_to(mapped, size)
        _write_all(self._fd, self._view[: format.HEADER_BYTES], 0)
        self._written = self._offset

    def _seal_segment(self, mapped: mmap.mmap | bytearray, offset: int) -> None:
        super()._seal_segment(mapped, offset)
        fd = self._fd if self._left_fd < 0 else self._left_fd
        place = format.SEALED_OFFSET
        _write_all(fd, memoryview(mapped)[place : place + 8], place)

    def _leave_segment(self) -> None:
        os.close(self._left_fd)
        self._left_fd = -1

    def _close_segment(self) -> None:
        super()._close_segment()
        os.close(self._fd)


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written


def is_network(folder: Path) -> bool:
    """Whether `folder` lies where files are not mapped: see filesystems.py."""
    return not may_map(folder)
