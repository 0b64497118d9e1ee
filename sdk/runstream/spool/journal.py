"""The journal of batch boundaries: it is written before a batch is sent, so that a resend is byte-identical.

A sender that dies and its successor, or a stream that reconnects, build the same batch from the same records.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from runstream.spool.format import SpoolPosition

KIND_RECORDS = 1
KIND_HEARTBEAT = 2
"""A batch that covers no record, and says that the process lives."""
KIND_CRASHED = 3
"""A batch that covers one record, the finish record that the process never wrote."""
KIND_LOST = 4
"""A batch that covers records that will never come: dropped by the process, or damaged. Its points are those lost."""
KIND_UNFINISHED = 5
"""A batch that covers records whose `log()` had not returned when the process ended."""

_BODY = struct.Struct("@IIQQQQQQq")
_CRC = struct.Struct("@Q")
ENTRY_BYTES = _BODY.size + _CRC.size


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One batch."""

    number: int
    kind: int
    first_record: int
    last_record: int
    end: SpoolPosition
    """The place where the batch's records end in the spool."""
    points_total: int
    """The number of scalar points of the stream up to and with this batch."""
    time_us: int
    """The time when the batch was cut, in microseconds since 1970."""
    finished: bool = False
    """True when the stream's finish record is in this batch or an earlier one."""


class Journal:
    """The append-only journal. A torn last entry (power loss) is dropped, and its batch is cut anew."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.entries: list[JournalEntry] = []
        self._bytes = 0
        self._load()

    def append(self, entry: JournalEntry) -> None:
        """Append an entry. Raises OSError when the disk is full: nothing is written then."""
        body = _BODY.pack(
            entry.kind,
            int(entry.finished),
            entry.number,
            entry.first_record,
            entry.last_record,
            entry.end.segment,
            entry.end.offset,
            entry.points_total,
            entry.time_us,
        )
        data = body + _CRC.pack(zlib.crc32(body))
        if os.pwrite(self._fd, data, self._bytes) != len(data):  # the next entry overwrites the part that was written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._bytes += len(data)
        self.entries.append(entry)

    def forget_before(self, number: int) -> None:
        """Drop acked entries from memory, keeping batch `number` and later ones."""
        while self.entries and self.entries[0].number < number:
            self.entries.pop(0)

    def close(self) -> None:
        os.close(self._fd)

    def _load(self) -> None:
        size = os.fstat(self._fd).st_size
        whole = size // ENTRY_BYTES * ENTRY_BYTES
        data = os.pread(self._fd, whole, 0)
        good = 0
        for start in range(0, whole, ENTRY_BYTES):
            body = data[start : start + _BODY.size]
            (crc,) = _CRC.unpack_from(data, start + _BODY.size)
            if zlib.crc32(body) != crc:
                break
            kind, finished, number, first, last, segment, offset, points, time_us = _BODY.unpack(body)
            place = SpoolPosition(segment, offset)
            self.entries.append(JournalEntry(number, kind, first, last, place, points, time_us, bool(finished)))
            good = start + ENTRY_BYTES
        if good != size:
            os.ftruncate(self._fd, good)
        self._bytes = good
