"""The spool where files are not mapped (filesystems.py says where): the same bytes, written by plain writes.

Each record costs two system calls more; the promise holds: when `append` returns, the kernel has the record.
"""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from runstream.errors import SpoolError
from runstream.spool import format
from runstream.spool.filesystems import may_map
from runstream.spool.quota import Quota
from runstream.spool.segment import File, Segment
from runstream.spool.writer import SpoolWriter


class AppendingWriter(SpoolWriter):
    """A `SpoolWriter` that keeps a segment in memory and writes each record out as it is appended."""

    _files: Sequence[tuple[weakref.ref[Segment], File]] = ()
    _owed: list[tuple[Segment, int, int, int]] | None = None
    """Empty claims that could not be written yet: (segment, start, bytes, number). Readers wait for them."""

    def append_row(self, keys: tuple[str, ...], values: Iterable[object], step: int, time_us: int) -> None:
        keyset = self._find(keys)
        numbers = keyset.layout.unpack(keyset.pack(b"", 0, 0, step, *values))[3:]

        def make(_: int, number: int) -> bytes:
            row = keyset.pack(keyset.head, number, time_us, *numbers)
            return format.PREFIX.pack(format.crc32(row), keyset.size) + row

        while (found := self._append(keyset.segment, keyset.span, 1, keyset.count, make)) is None:
            keyset = self._find_in_next(keyset)
        keyset.last = found[0]

    def _append(
        self, segment: Segment, span: int, numbers: int, points: int, make: Callable[[int, int], bytes]
    ) -> tuple[int, int] | None:
        self._write_owed()  # before anything is claimed
        return super()._append(segment, span, numbers, points, make)

    def _put(self, segment: Segment, start: int, record: bytes, *, last: bool = False) -> None:
        assert segment.file is not None
        write = segment.file.write_last if last else segment.file.write
        with self._writing():
            write(record[8:], start + 8)
            write(record[:8], start)
        super()._put(segment, start, record, last=last)

    def _put_void(self, segment: Segment, start: int, span: int, number: int, *, last: bool = False) -> None:
        try:
            super()._put_void(segment, start, span, number, last=last)
        except SpoolError:
            if self._owed is None:
                self._owed = []
            self._owed.append((segment, start, span, number))

    def _write_owed(self) -> None:
        while self._owed:
            owed = self._owed.pop()
            try:
                super()._put_void(*owed)
            except BaseException:
                self._owed.append(owed)
                raise

    def _make_segment(self, index: int, size: int, name: str, *, hidden: bool) -> Segment:
        path = self._folder / name
        self._close_files()
        try:
            file = File(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            os.truncate(path, size)
        except OSError as error:
            raise SpoolError(f"cannot write the spool file {path}: {error.strerror}") from error
        segment = Segment(index, size, bytearray(size), name if hidden else None, file)
        self._files = [*self._files, (weakref.ref(segment), file)]
        return segment

    def _leave(self) -> None:
        super()._leave()
        self._close_files()

    def _close_files(self) -> None:
        """Close the files of segments that no thread writes to any more.

        A finalizer must not do this: Ctrl-C that came during it would be lost.
        """
        while gone := next((one for one in self._files if one[0]() is None), None):
            self._files = [one for one in self._files if one is not gone]
            gone[1].close()


def open_writer(
    io: str,
    folder: Path,
    check_keys: Callable[[tuple[str, ...]], None] | None = None,
    quota: Quota | None = None,
    segment_bytes: int = format.SEGMENT_BYTES,
) -> SpoolWriter:
    """Return a writer that maps its files, or one that appends where they cannot be mapped.

    `io`: map | append | auto, as the setting `spool_io`. Raises SpoolError.
    """
    if io == "append" or (io == "auto" and not may_map(folder)):
        return AppendingWriter(folder, check_keys, quota, segment_bytes)
    try:
        return SpoolWriter(folder, check_keys, quota, segment_bytes)
    except SpoolError as error:
        cause = error.__cause__
        if io == "map" or not (isinstance(cause, OSError) and cause.errno in (errno.ENODEV, errno.EINVAL)):
            raise
    for path in folder.glob("*.seg"):
        path.unlink()
    return AppendingWriter(folder, check_keys, quota, segment_bytes)
