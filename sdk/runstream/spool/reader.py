"""The sender's half of the spool: reads records behind a process that may still be writing."""

from __future__ import annotations

import mmap
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runstream.spool import files, format, sigbus
from runstream.spool.format import Place

_prefix = format.PREFIX.unpack_from
_u64 = format.U64.unpack_from
_head = format.HEAD.unpack_from
_sized = format.SIZED.unpack_from
_crc32 = zlib.crc32
_STEP_OFFSET = format.HEAD.size
_HEADERS_KEPT = 64
_VALUES_OFFSET = format.ROW_HEAD_BYTES


class Sink(Protocol):
    """Takes records one at a time, in order. `False` from `row` or `json`: enough, this one was not taken."""

    def row(self, keyset: tuple[str, ...], number: int, time_us: int, step_and_values: memoryview) -> bool: ...

    def json(self, number: int, time_us: int, data: bytes) -> bool: ...


@dataclass(slots=True)
class Damage:
    """What could not be read."""

    records: int = 0
    """Records whose checksum did not match."""
    segments: int = 0
    """Segments given up before their end, or missing."""
    unfinished: int = 0
    """Records that were claimed and whose length word was never written: `log()` had not returned when the process
    ended. No damage."""
    at_end: bool = False
    """The last that was read was damage: no later record's number tells what is missing."""


class SpoolReader:
    """Reads one stream from a place on. Not thread-safe; one reader a stream."""

    def __init__(self, folder: Path, place: Place) -> None:
        self._folder = folder
        self._map: mmap.mmap | bytes | None = None
        self._guard: sigbus.Guard | None = None
        self._stamp: tuple[int, int] = (0, 0)
        self._headers: dict[int, int] = {}
        self._searched = (-1, 0)
        self._view: memoryview
        self._keysets: dict[int, tuple[str, ...]] = {}
        self._segment = place.segment
        self._offset = place.offset
        self.damage = Damage()

    @property
    def place(self) -> Place:
        return Place(self._segment, self._offset)

    def points_before(self, record: int) -> int | None:
        """Points logged up to `record`, if that is the last record before a segment that was opened lately."""
        return self._headers.get(record)

    def dropped_points(self) -> int:
        """Points that the process gave up, as the last segment that is there says. Of a dead process it does not
        change any more."""
        indices = [int(path.stem) for path in self._folder.glob("*.seg") if path.stem.isdigit()]
        try:
            with (self._folder / format.segment_name(max(indices))).open("rb") as file:
                header = file.read(format.HEADER_BYTES)
            return int(format.U32.unpack_from(header, format.DROPPED_OFFSET)[0])
        except (OSError, ValueError, struct.error):  # none is there, or none that can be read
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

    def drain(self, sink: Sink, until: Place | None = None, *, dead: bool = False) -> bool:
        """Hand records to `sink` until it has enough, `until` is reached, or nothing more is there.

        `dead`: the process that wrote is gone, so what is a hole now will stay one, and is stepped over.
        Returns True when it stopped because nothing more is there now.
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
                self.damage.unfinished += 1  # zeros where a record should be, and nothing behind them
            following = self._next_segment()
            if following is None:
                return True  # sealed by finish(): the end of the stream
            self._go_to(following)

    def at_end(self) -> bool:
        """True when the stream was sealed by its process and all of it was read."""
        if self._map is None and not self._open():
            return False
        sealed = self._sealed_at()
        return bool(sealed) and self._offset >= sealed and self._next_segment() is None

    def _cut_off(self) -> bool:
        """Whether the file was truncated: it is shorter than its header says, or was cut under the mapping, where zeros
        of our own are in the place of what is gone."""
        if self._guard is not None and self._guard.broken:
            return True
        assert self._map is not None
        return len(self._map) < int(format.SEGMENT_HEADER.unpack_from(self._map, 0)[4])

    def _give_up_rest(self) -> int:
        """Count the truncated segment as damage, once, and read it as one that ends here. Returns where."""
        if self._searched != (self._segment, -1):
            self._searched = (self._segment, -1)
            self.damage.segments += 1
            self.damage.at_end = True
        return self._offset

    def _next_segment(self) -> int | None:
        """The segment after this one: the next number, or a later one where the process dropped some."""
        if (self._folder / format.segment_name(self._segment + 1)).exists():
            return self._segment + 1
        later = [int(path.stem) for path in self._folder.glob("*.seg") if path.stem.isdigit()]
        return min((index for index in later if index > self._segment), default=None)

    def _look_again(self) -> None:
        """Where files cannot be mapped: read the segment anew when it has changed."""
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
        """Find the next whole record behind zeros: its checksum tells. False when there is none."""
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
        """Where the first record from `start` on begins whose checksum fits."""
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
            self._go_to(following)  # dropped by the process: its disk was full
            return self._open()
        except ValueError:
            return False
        except OSError:
            mapped = path.read_bytes()  # a file system that cannot map
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
        """Read the key lists in front of the place where reading resumes."""
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

    def _drain_segment(self, sink: Sink, until: Place | None, dead: bool) -> bool:
        """True when the segment has no further record now; False when the sink or `until` ended it."""
        view = self._view
        end = len(view)
        stop = max(end, self._offset) + 1  # the end of a truncated segment that was given up lies behind the file's
        if until is not None and until.segment <= self._segment:
            stop = until.offset if until.segment == self._segment else 0
        offset = self._offset
        keysets = self._keysets
        damaged = self.damage.at_end
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
                # A flipped bit, perhaps in the length: the next record whose checksum fits is the next one.
                following = self._next_whole(offset + 8, self._sealed_at() or end)
                if following is None and torn and not dead:
                    self._offset = offset
                    return True  # more may come behind it
                self.damage.records += 1
                self.damage.at_end = damaged = True
                if following is None and torn:
                    self.damage.segments += 1
                    self._offset = self._sealed_at() or end
                    return True
                offset = after if following is None else following
                continue
            kind, ident, number, time_us = _head(view, body)
            if kind == 1:
                keys = keysets.get(ident)
                if keys is None:
                    self.damage.records += 1
                    self.damage.at_end = damaged = True
                    offset = after
                    continue
                if not sink.row(keys, number, time_us, view[body + _STEP_OFFSET : after]):
                    break
            elif kind == 3:
                count = _sized(view, body)[4]
                first = body + format.SIZED.size
                if not sink.json(number, time_us, bytes(view[first : first + count])):
                    break
            elif kind == 2:
                self._note_keyset(body)
            if damaged and kind != 2:
                self.damage.at_end = damaged = False
            offset = after
        taken_all = offset + 8 > end or not _prefix(view, offset)[1]
        self._offset = offset
        return taken_all


def _settles(view: memoryview, offset: int, after: int) -> bool:
    """Whether a record that did not match its checksum does a moment later: on processors that do not keep the order of
    stores (ARM), the length may be seen before the payload that was written before it."""
    for _ in range(5):
        time.sleep(0.001)
        if _crc32(view[offset + 8 : after]) == _prefix(view, offset)[0]:
            return True
    return False
