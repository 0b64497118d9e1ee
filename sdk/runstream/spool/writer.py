"""The training process's half of the spool: `append` returns when the record is in mapped memory.

From there the kernel writes it out whatever happens to the process, so a returned `append` survives SIGKILL
(promise 1). Nothing here touches the network, starts a thread or waits for anybody.
"""

from __future__ import annotations

import mmap
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from struct import Struct

from runstream.errors import SpoolError
from runstream.spool import files, format
from runstream.spool.quota import Quota

_PREFIX_PACK = format.PREFIX.pack_into
_crc32 = zlib.crc32
_HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


class _Keyset:
    """Keys that are logged together, in one segment: their number there and the packer of their rows."""

    __slots__ = ("count", "ident", "keys", "last", "layout", "pack_into", "size", "view")

    def __init__(self, keys: tuple[str, ...], ident: int, view: memoryview) -> None:
        self.keys = keys
        self.ident = ident
        self.view = view
        """Of the segment that the keys are defined in: another one does not know them."""
        self.count = len(keys)
        self.layout = Struct(f"@IIQqq{self.count}d")
        self.pack_into = self.layout.pack_into
        self.size = self.layout.size
        self.last = 0
        """Where the last row of these keys lies; 0: none yet."""


class SpoolWriter:
    """Appends records to one stream's segments. Any thread may call, signal handlers and finalizers too.

    Appending takes no lock: a record's place and number are claimed between two bytecodes that let no other thread
    or handler in (CPython switches at calls and backward jumps only), and filled after that; its length word makes
    it visible last. A record that is claimed and not filled when the process is killed is a hole that the reader
    steps over: its `append` had not returned. New segments are made under a lock. Where there is no global
    interpreter lock, all of it is done under the lock.
    """

    __slots__ = ("__dict__", "_end", "_offset", "_recent", "_view", "number", "points")
    """What every append touches; the rest lives in the dict."""

    def __init__(
        self,
        folder: Path,
        check_keys: Callable[[tuple[str, ...]], None] | None = None,
        quota: Quota | None = None,
    ) -> None:
        """`check_keys` sees each new key list and raises what `append_row` shall raise. Raises SpoolError."""
        self._folder = folder
        self._quota = quota
        self._check_keys = check_keys
        self._last: dict[str, float] = {}
        self._lock = threading.RLock()
        self._segment = -1
        self._map: mmap.mmap | bytearray
        self._view: memoryview
        self._offset = 0
        self._end = 0
        self._left: tuple[mmap.mmap | bytearray, int] | None = None
        """The segment before while it is not sealed, and where its records end."""
        self._keysets: dict[tuple[str, ...], _Keyset] = {}
        self._next_keyset = 1
        self._recent = _Keyset((), 0, memoryview(b""))
        self.number = 0
        """Records numbered so far."""
        self.points = 0
        """Scalar points in them."""
        self._open_segment(format.FIRST_SEGMENT_BYTES)
        if not _HAS_GIL:  # pragma: no cover
            self.append_row = self._append_row_locked  # type: ignore[method-assign]

    def append_row(self, keys: tuple[str, ...], values: Iterable[object], step: int, time_us: int) -> None:
        """Append one row of scalars.

        `keys`: at most MAX_KEYS_PER_ROW valid names. `values`: as many numbers, or objects with __float__.
        Raises struct.error or TypeError when a value is no number or the step no 64-bit integer (nothing is
        appended then), SpoolError when there is no space for a new segment.
        """
        keyset = self._recent
        if keys != keyset.keys:
            keyset = self._find(keys)
        while True:
            size = keyset.size
            pack_into = keyset.pack_into
            # From here to the claim no call stands, so nobody comes in between.
            start = self._offset
            body = start + 8
            end = body + size
            view = keyset.view
            if end <= self._end and view is self._view:
                number = self.number + 1
                self._offset = end
                self.number = number
                self.points += keyset.count
                break
            keyset = self._make_room(keys, size + 8)
        try:
            pack_into(view, body, 1, keyset.ident, number, time_us, step, *values)
            _PREFIX_PACK(view, start, _crc32(view[body:end]), size)
        except BaseException:  # a value that is no number; Ctrl-C at whatever moment
            self._give_back(view, start, size, 1, number, keyset.count)
            raise
        keyset.last = body

    def _append_row_locked(
        self, keys: tuple[str, ...], values: Iterable[object], step: int, time_us: int
    ) -> None:  # pragma: no cover
        with self._lock:
            SpoolWriter.append_row(self, keys, values, step, time_us)

    def _find(self, keys: tuple[str, ...]) -> _Keyset:
        keyset = self._keysets.get(keys)
        if keyset is None:
            with self._lock:
                keyset = self._keysets.get(keys) or self._define(keys)
        self._recent = keyset
        return keyset

    def _make_room(self, keys: tuple[str, ...], needed: int) -> _Keyset:
        """The keys, defined in a segment that had `needed` bytes left a moment ago."""
        with self._lock:
            if self._end - self._offset < needed:
                self._roll(needed)
            return self._find(keys)

    def _give_back(self, view: memoryview, start: int, size: int, numbers: int, number: int, points: int) -> None:
        """A record could not be filled: undo the claim, or, where another one came behind, fill it with nothing, so
        that no reader waits for it. A record that is whole already stands."""
        body = start + 8
        end = body + size
        if format.PREFIX.unpack_from(view, start)[1]:
            return
        view[body:end] = bytes(size)
        if self._offset == end and view is self._view:
            self._offset = start
            self.number -= numbers
            self.points -= points
            return
        self.points -= points
        kind = format.KIND_JSON if numbers else format.KIND_KEYSET
        format.SIZED.pack_into(view, body, kind, 0, number, time.time_ns() // 1000, 0)
        _PREFIX_PACK(view, start, _crc32(view[body:end]), size)

    def last_values(self) -> dict[str, float]:
        """The value of each key in the last row that had it. Read back from the spool: `append_row` keeps no
        reference to what it was given, which may be a tensor with a whole graph behind it."""
        with self._lock:
            return {**self._last, **_last_rows(self._keysets)}

    def append_json(self, text: str, time_us: int | None = None, *, last: bool = False) -> int:
        """Append one record that is not a row, as JSON. Returns its number. `last`: the stream's last, which may use
        the space kept for it.

        Raises SpoolError when it is larger than MAX_JSON_BYTES or there is no space.
        """
        data = text.encode("utf-8", "surrogatepass")
        if len(data) > format.MAX_JSON_BYTES:
            raise SpoolError(f"a record of {len(data)} bytes is larger than the limit of {format.MAX_JSON_BYTES}")
        with self._lock:
            if last:
                self._end += format.RESERVE_BYTES
            return self._append_sized(format.KIND_JSON, 0, data, time_us)

    def moved_to(self, folder: Path) -> None:
        """The stream's folder was renamed: later segments are made there."""
        self._folder = folder

    def seal(self) -> None:
        """Say that no record follows: the sender need not look again."""
        with self._lock:
            self._seal_left()
            self._seal_segment(self._map, self._offset)

    def close(self) -> None:
        """Unmap. The records stay on disk."""
        with self._lock:
            self._keysets = {}
            self._recent = _Keyset((), 0, memoryview(b""))
            self._close_segment()

    def _define(self, keys: tuple[str, ...]) -> _Keyset:
        """Number a key list in this segment and write it down, so that a segment can be read by itself. Under the
        lock."""
        if self._check_keys is not None:
            self._check_keys(keys)
        data = "\0".join(keys).encode("utf-8", "surrogatepass")
        row = format.ROW_HEAD_BYTES + 8 * len(keys) + 8
        needed = format.padded(format.SIZED.size + len(data)) + 8 + row
        while True:
            view = self._view
            ident = self._next_keyset
            self._next_keyset += 1
            if self._end - self._offset < needed:
                self._roll(needed)
                view = self._view
            self._append_sized(format.KIND_KEYSET, ident, data, None)
            if view is self._view:  # else a row of another thread took the room, and this segment is a new one
                keyset = _Keyset(keys, ident, view)
                self._keysets[keys] = keyset
                return keyset

    def _append_sized(self, kind: int, keyset: int, data: bytes, time_us: int | None) -> int:
        """Append bytes of any length. Returns the record's number, 0 for a keyset. Under the lock."""
        size = format.padded(format.SIZED.size + len(data))
        if time_us is None:
            time_us = time.time_ns() // 1000
        while True:
            # As in append_row: no call from here to the claim.
            start = self._offset
            end = start + 8 + size
            view = self._view
            if end <= self._end:
                number = self.number + 1 if kind == 3 else 0  # KIND_JSON
                self._offset = end
                self.number += kind == 3
                break
            self._roll(size + 8)
        try:
            body = start + 8
            format.SIZED.pack_into(view, body, kind, keyset, number, time_us, len(data))
            first = body + format.SIZED.size
            view[first : first + len(data)] = data
            _PREFIX_PACK(view, start, _crc32(view[body:end]), size)
        except BaseException:
            self._give_back(view, start, size, int(kind == format.KIND_JSON), number, 0)
            raise
        return number

    def _roll(self, needed: int) -> None:
        """Go on in a new segment that holds at least `needed` bytes of records; seal the old one. Under the lock."""
        size = max(format.SEGMENT_BYTES, format.padded(needed) + 2 * format.HEADER_BYTES + format.RESERVE_BYTES)
        if self._quota is not None:
            self._quota.make_room(self._folder, self._segment, size)
        old_keysets = self._keysets
        self._seal_left()
        try:
            while True:
                try:
                    self._open_segment(size)
                    break
                except SpoolError as error:
                    if self._quota is None or not self._quota.found_room(self._folder, self._segment, error):
                        raise
        finally:
            self._seal_left()  # also where Ctrl-C came in between
        self._last.update(_last_rows(old_keysets))
        self._leave_segment()  # unmapped when the last append that is still filling a record in it has ended

    def _open_segment(self, size: int) -> None:
        path = self._folder / format.segment_name(self._segment + 1)
        try:
            self._switch_to(self._make_segment(path, size), size)
        except BaseException:
            if not path.name.startswith(f"{self._segment:08d}"):
                path.unlink(missing_ok=True)  # Ctrl-C: nothing was switched to it
            raise

    def _switch_to(self, mapped: mmap.mmap | bytearray, size: int) -> None:
        index = self._segment + 1
        format.SEGMENT_HEADER.pack_into(
            mapped, 0, format.MAGIC, format.HEADER_BYTES, 0, index, size, time.time_ns() // 1000
        )
        view = memoryview(mapped)
        # All at once, with no call in between.
        points, records = self.points, self.number
        self._left = (self._map, self._offset) if index else None
        self._segment = index
        self._map = mapped
        self._view = view
        self._offset = format.HEADER_BYTES
        self._end = size - format.RESERVE_BYTES
        self._keysets = {}
        format.U64.pack_into(mapped, format.POINTS_OFFSET, points)
        format.U64.pack_into(mapped, format.RECORDS_OFFSET, records)

    def _make_segment(self, path: Path, size: int) -> mmap.mmap | bytearray:
        return files.map_new(path, size)

    def _seal_left(self) -> None:
        """Seal the segment that was left; where Ctrl-C kept it from that, the next one to come here does."""
        if self._left is not None:
            self._seal_segment(*self._left)
            self._left = None

    def _seal_segment(self, mapped: mmap.mmap | bytearray, offset: int) -> None:
        format.U64.pack_into(mapped, format.SEALED_OFFSET, offset)

    def _leave_segment(self) -> None:
        """The segment before the current one is sealed."""

    def _close_segment(self) -> None:
        self._view.release()
        if isinstance(self._map, mmap.mmap):
            self._map.close()


def _last_rows(keysets: dict[tuple[str, ...], _Keyset]) -> dict[str, float]:
    """Each key's value in the last row that had it, as far as one segment knows."""
    values: dict[str, float] = {}
    for keyset in sorted(keysets.values(), key=lambda one: one.last):
        if keyset.last:
            values.update(zip(keyset.keys, keyset.layout.unpack_from(keyset.view, keyset.last)[5:], strict=True))
    return values


def split_keys(keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Key lists of at most MAX_KEYS_PER_ROW, in order."""
    width = format.MAX_KEYS_PER_ROW
    return [tuple(keys[start : start + width]) for start in range(0, len(keys), width)]
