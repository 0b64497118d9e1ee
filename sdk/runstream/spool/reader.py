"""The sender's half of the spool: it reads records of a process that may still be writing."""

from __future__ import annotations

import mmap
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runstream.spool import files, format, sigbus
from runstream.spool.format import SpoolPosition

_prefix = format.PREFIX.unpack_from
_u64 = format.U64.unpack_from
_head = format.HEAD.unpack_from
_sized = format.SIZED.unpack_from
_crc32 = zlib.crc32
_STEP_OFFSET = format.HEAD.size
_HEADERS_KEPT = 64
_ROW, _KEYSET, _JSON = format.KIND_ROW, format.KIND_KEYSET, format.KIND_JSON


class Sink(Protocol):
    """Takes records one at a time, in order.

    `row` and `json` return False for a record that they do not take any more.
    """

    def row(self, keyset: tuple[str, ...], number: int, time_us: int, step_and_values: memoryview) -> bool: ...

    def json(self, number: int, time_us: int, data: bytes) -> bool: ...


@dataclass(slots=True)
class Damage:
    """The records and segments that could not be read."""

    records: int = 0
    """The number of records whose checksum did not match."""
    segments: int = 0
    """The number of segments that were given up before their end, or are missing."""
    unfinished: int = 0
    """The number of records that were claimed and never filled: their `log()` had not returned when the process ended.
    They are no damage."""
    at_end: bool = False
    """True when damage was read last, so that no later record's number tells how many are missing."""


class SpoolReader:
    """Reads one stream from a place on. It is not thread-safe; each stream has one reader."""

    def __init__(self, folder: Path, place: SpoolPosition) -> None:
        self._folder = folder
        self._map: mmap.mmap | bytes | None = None
        self._guard: sigbus.SigbusGuard | None = None
        self._stamp: tuple[int, int] = (0, 0)
        self._headers: dict[int, int] = {}
        self._searched = (-1, 0)
        self._view: memoryview
        self._keysets: dict[int, tuple[str, ...]] = {}
        self._segment = place.segment
        self._offset = place.offset
        self.damage = Damage()

    @property
    def place(self) -> SpoolPosition:
        return SpoolPosition(self._segment, self._offset)

    def points_before(self, record: int) -> int | None:
        """Return the points logged up to `record`, if a segment that was opened recently begins after it; else None."""
        return self._headers.get(record)

    def dropped_points(self) -> int:
        """Return how many points the process gave up, as the last segment that exists says.

        The number of a dead process no longer changes.
        """
        indices = [int(path.stem) for path in self._folder.glob("*.seg") if path.stem.isdigit()]
        try:
            with (self._folder / format.segment_name(max(indices))).open("rb") as file:
                header = file.read(format.HEADER_BYTES)
            return int(format.U32.unpack_from(header, format.DROPPED_OFFSET)[0])
        except (OSError, ValueError, struct.error):  # there is no segment, or none that can be read
            return 0

    def close(self) -> None:
        if self._map is not None:
            self._view.release()
            if self._guard is not None:
                self._guard.release()
                self._guard = None
            if isinstance(self._map, mmap.mmap):
                self._map.close()
            self._map = None

    def drain(self, sink: Sink, until: SpoolPosition | None = None, *, dead: bool = False) -> bool:
        """Pass records to `sink` until it has enough, `until` is reached, or no more are there.

        `dead`: the process that wrote is gone, so a hole stays a hole, and is stepped over.
        Returns True when it stopped because no more records are there now.
        """
        while True:
            if self._map is None and not self._open():
                return True
            self._look_again()
            if until is not None and self._segment > until.segment:
                return False
            if not self._drain_segment(sink, until, dead):
                return False
            sealed = self._sealed_at()
            if self._cut_off():
                sealed = self._give_up_rest()
            if dead and self._step_over_hole(sealed):
                continue
            if not sealed and not (dead and self._next_segment() is not None):
                return True
            if self._offset < sealed and not dead:
                return True  # another thread of the process is about to fill the hole
            if self._offset < sealed:
                self.damage.unfinished += 1  # there are zeros where a record should be, and nothing after them
            following = self._next_segment()
            if following is None:
                return True  # sealed by finish(): the end of the stream
            self._go_to(following)

    def at_end(self) -> bool:
        """Return True when the process has sealed the stream and all of it was read."""
        if self._map is None and not self._open():
            return False
        sealed = self._sealed_at()
        return bool(sealed) and self._offset >= sealed and self._next_segment() is None

    def _cut_off(self) -> bool:
        """Return whether the file was truncated.

        It is shorter than its header says, or was cut under the mapping, where the guard has put zeros in place of its
        pages.
        """
        if self._guard is not None and self._guard.broken:
            return True
        assert self._map is not None
        return len(self._map) < int(format.SEGMENT_HEADER.unpack_from(self._map, 0)[4])

    def _give_up_rest(self) -> int:
        """Count the truncated segment as damage, once. Return the place where it is now taken to end."""
        if self._searched != (self._segment, -1):
            self._searched = (self._segment, -1)
            self.damage.segments += 1
            self.damage.at_end = True
        return self._offset

    def _next_segment(self) -> int | None:
        """Return the segment after this one: the next number, or a later one where the process dropped some."""
        if (self._folder / format.segment_name(self._segment + 1)).exists():
            return self._segment + 1
        later = [int(path.stem) for path in self._folder.glob("*.seg") if path.stem.isdigit()]
        return min((index for index in later if index > self._segment), default=None)

    def _look_again(self) -> None:
        """Read the segment anew when it has changed, where files cannot be mapped."""
        if isinstance(self._map, bytes):
            path = self._folder / format.segment_name(self._segment)
            try:
                status = path.stat()
                if (status.st_size, status.st_mtime_ns) == self._stamp:
                    return
                data = path.read_bytes()
            except OSError:
                return
            self._stamp = (status.st_size, status.st_mtime_ns)
            self._view.release()
            self._map = data
            self._view = memoryview(data)

    def _step_over_hole(self, sealed: int) -> bool:
        """Find the next complete record after zeros, by its checksum. Return False when there is none."""
        start, end = self._offset + 8, min(sealed or len(self._view), len(self._view))
        if start >= end or self._searched == (self._segment, start):
            return False
        self._searched = self._segment, start
        following = self._next_whole(start, end)
        if following is None:
            return False
        self.damage.unfinished += 1
        self.damage.at_end = True
        self._offset = following
        return True

    def _next_whole(self, start: int, end: int) -> int | None:
        """Return the place of the first record from `start` on whose checksum matches."""
        view = self._view
        end = min(end, len(view))
        rest = bytes(view[start:end]).rstrip(b"\0")
        last = start + len(rest) - 32
        for offset in range(start + ((len(rest) - len(rest.lstrip(b"\0"))) & ~7), last, 8):
            checksum, length = _prefix(view, offset)
            fits = 24 <= length <= end - offset - 8 and not length & 7
            if fits and _crc32(view[offset + 8 : offset + 8 + length]) == checksum:
                return offset
        return None

    def _open(self) -> bool:
        path = self._folder / format.segment_name(self._segment)
        mapped: mmap.mmap | bytes
        try:
            mapped = files.map_existing(path)
        except FileNotFoundError:
            following = self._next_segment()
            if following is None:
                return False
            self._go_to(following)  # the process dropped this segment, because its disk was full
            return self._open()
        except ValueError:
            return False
        except OSError:
            mapped = path.read_bytes()  # the file system cannot map
            self._stamp = (0, 0)
        if len(mapped) < format.HEADER_BYTES or mapped[0:8] != format.MAGIC:
            if isinstance(mapped, mmap.mmap):
                mapped.close()
            return False
        self._map = mapped
        self._view = memoryview(mapped)
        if isinstance(mapped, mmap.mmap):
            self._guard = sigbus.guard(mapped)
        self._headers[_u64(mapped, format.RECORDS_OFFSET)[0]] = _u64(mapped, format.POINTS_OFFSET)[0]
        while len(self._headers) > _HEADERS_KEPT:
            self._headers.pop(next(iter(self._headers)))
        if self._offset > format.HEADER_BYTES:
            self._load_keysets()
        else:
            self._offset = format.HEADER_BYTES
        return True

    def _go_to(self, segment: int) -> None:
        self.close()
        self._keysets = {}
        self._segment = segment
        self._offset = format.HEADER_BYTES

    def _sealed_at(self) -> int:
        assert self._map is not None
        return int(_u64(self._map, format.SEALED_OFFSET)[0])

    def _load_keysets(self) -> None:
        """Read the key lists before the place where reading resumes."""
        offset, end = format.HEADER_BYTES, self._offset
        while offset < end:
            length = _prefix(self._view, offset)[1]
            if not length:
                break
            self._note_keyset(offset + 8)
            offset += 8 + length

    def _note_keyset(self, body: int) -> None:
        kind, ident, _, _, count = _sized(self._view, body) if len(self._view) >= body + 32 else (0, 0, 0, 0, 0)
        if kind == format.KIND_KEYSET:
            data = bytes(self._view[body + format.SIZED.size : body + format.SIZED.size + count])
            self._keysets[ident] = tuple(data.decode("utf-8", "surrogatepass").split("\0"))

    def _drain_segment(self, sink: Sink, until: SpoolPosition | None, dead: bool) -> bool:
        """Return True when the segment has no further record now, False when the sink or `until` ended it."""
        view, keysets, damage = self._view, self._keysets, self.damage
        end, stop = len(view), self._stop_at(until)
        offset = self._offset
        while True:
            if offset >= stop:
                self._offset = offset
                return False
            if offset + 8 > end:
                break
            checksum, length = _prefix(view, offset)
            if not length:
                break
            body = offset + 8
            after = body + length
            torn = after > end or length & 7 or length < 24
            if torn or (_crc32(view[body:after]) != checksum and (dead or not _settles(view, offset, after))):
                following = self._after_damage(offset, after, bool(torn), dead)
                if following is None:
                    return True
                offset = following
                continue
            kind, ident, number, time_us = _head(view, body)
            if kind == _ROW:
                keys = keysets.get(ident)
                if keys is None:
                    self._count_damage()
                    offset = after
                    continue
                taken = sink.row(keys, number, time_us, view[body + _STEP_OFFSET : after])
            else:
                taken = self._take_other(sink, kind, body, number, time_us)
            if not taken:
                break
            if damage.at_end and kind != _KEYSET:
                damage.at_end = False
            offset = after
        self._offset = offset
        return offset + 8 > end or not _prefix(view, offset)[1]

    def _stop_at(self, until: SpoolPosition | None) -> int:
        """Return the place in this segment at which reading stops."""
        if until is None or until.segment > self._segment:
            # A truncated segment that was given up ends after the end of its file.
            return max(len(self._view), self._offset) + 1
        return until.offset if until.segment == self._segment else 0

    def _take_other(self, sink: Sink, kind: int, body: int, number: int, time_us: int) -> bool:
        """Pass on a record that is no row. Return False when the sink does not take it."""
        if kind == _JSON:
            count = _sized(self._view, body)[4]
            first = body + format.SIZED.size
            return sink.json(number, time_us, bytes(self._view[first : first + count]))
        if kind == _KEYSET:
            self._note_keyset(body)
        return True

    def _count_damage(self) -> None:
        self.damage.records += 1
        self.damage.at_end = True

    def _after_damage(self, offset: int, after: int, torn: bool, dead: bool) -> int | None:
        """Count a damaged record. Return the place of the next record; return None when no record can be read now.

        A bit has flipped, perhaps in the length: reading goes on at the next record whose checksum matches.
        """
        end = self._sealed_at() or len(self._view)
        following = self._next_whole(offset + 8, end)
        if following is None and torn and not dead:
            self._offset = offset
            return None  # more records may follow it
        self._count_damage()
        if following is None and torn:
            self.damage.segments += 1
            self._offset = end
            return None
        return after if following is None else following


def _settles(view: memoryview, offset: int, after: int) -> bool:
    """Return whether a record matches its checksum a moment later.

    Processors that do not keep the order of stores (ARM) may show the length before the payload that was written first.
    """
    for _ in range(5):
        time.sleep(0.001)
        if _crc32(view[offset + 8 : after]) == _prefix(view, offset)[0]:
            return True
    return False
