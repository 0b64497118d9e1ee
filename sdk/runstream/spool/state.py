"""The mapped page through which the sender tells a training process how far it is."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from runstream.spool import files, format

_U64 = struct.Struct("@Q")
_U32 = struct.Struct("@I")
_ACKED_RECORD, _ACKED_BATCH, _REJECTED, _STOP, _BEAT = 8, 16, 24, 32, 40


@dataclass(frozen=True, slots=True)
class Progress:
    acked_record: int
    """Every record up to this number is stored for good, or was refused for good."""
    acked_batch: int
    rejected_batches: int
    stop_requested: bool
    beat_us: int
    """When the sender last looked after this stream, microseconds since 1970."""
    error: str
    """The last trouble the sender had with this stream; empty when all is well."""


class StateFile:
    """Written by the sender, read by the process (but for its creation)."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            self._map = files.map_new(path, format.STATE_BYTES)
            self._map[0:8] = format.STATE_MAGIC
        else:
            self._map = files.map_existing(path, writable=True)

    def read(self) -> Progress:
        _, record, batch, rejected, stop, beat = format.STATE.unpack_from(self._map, 0)
        (length,) = _U32.unpack_from(self._map, format.STATE_TEXT_OFFSET)
        first = format.STATE_TEXT_OFFSET + 4
        text = bytes(self._map[first : first + min(length, format.STATE_TEXT_BYTES)])
        return Progress(record, batch, rejected, bool(stop), beat, text.decode("utf-8", "replace"))

    def acked_record(self) -> int:
        return int(_U64.unpack_from(self._map, _ACKED_RECORD)[0])

    def set_acked(self, record: int, batch: int) -> None:
        _U64.pack_into(self._map, _ACKED_BATCH, batch)
        _U64.pack_into(self._map, _ACKED_RECORD, record)

    def count_rejected(self) -> None:
        (count,) = _U64.unpack_from(self._map, _REJECTED)
        _U64.pack_into(self._map, _REJECTED, count + 1)

    def request_stop(self) -> None:
        _U64.pack_into(self._map, _STOP, 1)

    def beat(self, time_us: int) -> None:
        _U64.pack_into(self._map, _BEAT, time_us)

    def set_error(self, text: str) -> None:
        data = text.encode("utf-8")[: format.STATE_TEXT_BYTES]
        first = format.STATE_TEXT_OFFSET + 4
        self._map[first : first + len(data)] = data
        _U32.pack_into(self._map, format.STATE_TEXT_OFFSET, len(data))

    def close(self) -> None:
        self._map.close()
