"""The page through which the sender tells a training process how far it is.

It is read and written by plain calls, which work on any file system.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from runstream.errors import SpoolError
from runstream.spool import files, format

_U64, _U32 = format.U64, format.U32
_ACKED = struct.Struct("@QQ")
_ACKED_RECORD, _REJECTED, _STOP, _BEAT = 8, 24, 32, 40


@dataclass(frozen=True, slots=True)
class SendProgress:
    acked_record: int
    """Every record up to this number is stored for good, or was refused for good."""
    acked_batch: int
    rejected_batches: int
    stop_requested: bool
    beat_us: int
    """The time when the sender last looked after this stream, in microseconds since 1970."""
    error: str
    """The sender's last error with this stream; it is empty when there is none."""


class StateFile:
    """The state page. The process creates and reads it; the sender writes it."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open or create the page. Raises SpoolError (create), OSError, ValueError (a file that is too short)."""
        if create:
            self._fd = files.allocate(path, format.STATE_BYTES)
            try:
                os.pwrite(self._fd, format.STATE_MAGIC, 0)
            except OSError as error:
                os.close(self._fd)
                raise SpoolError(f"cannot write the spool file {path}: {error.strerror}") from error
        else:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            if os.fstat(self._fd).st_size < format.STATE_BYTES:
                os.close(self._fd)
                raise ValueError(f"{path} is shorter than {format.STATE_BYTES} bytes")

    def read(self) -> SendProgress:
        page = os.pread(self._fd, format.STATE_BYTES, 0)
        _, record, batch, rejected, stop, beat = format.STATE.unpack_from(page, 0)
        (length,) = _U32.unpack_from(page, format.STATE_TEXT_OFFSET)
        first = format.STATE_TEXT_OFFSET + 4
        text = page[first : first + min(length, format.STATE_TEXT_BYTES)]
        return SendProgress(record, batch, rejected, bool(stop), beat, text.decode("utf-8", "replace"))

    def acked_record(self) -> int:
        return int(_U64.unpack(os.pread(self._fd, 8, _ACKED_RECORD))[0])

    def set_acked(self, record: int, batch: int) -> None:
        os.pwrite(self._fd, _ACKED.pack(record, batch), _ACKED_RECORD)

    def count_rejected(self) -> None:
        os.pwrite(self._fd, _U64.pack(self.read().rejected_batches + 1), _REJECTED)

    def request_stop(self) -> None:
        os.pwrite(self._fd, _U64.pack(1), _STOP)

    def beat(self, time_us: int) -> None:
        os.pwrite(self._fd, _U64.pack(time_us), _BEAT)

    def set_error(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")[: format.STATE_TEXT_BYTES]
        os.pwrite(self._fd, _U32.pack(len(data)) + data, format.STATE_TEXT_OFFSET)

    def close(self) -> None:
        os.close(self._fd)
