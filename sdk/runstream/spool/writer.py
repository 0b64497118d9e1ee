"""The training process's half of the spool: `append` returns when the record is in mapped memory.

From there the kernel writes it out whatever happens to the process, so a returned `append` survives SIGKILL
(promise 1). Nothing here touches the network, starts a thread or waits for anybody.
"""

from __future__ import annotations

import contextlib
import mmap
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


class _Keyset:
    """Keys that are logged together, in one segment: their number there and the packer of their rows."""

    __slots__ = ("count", "ident", "last", "layout", "pack_into", "size")

    def __init__(self, ident: int, count: int) -> None:
        self.ident = ident
        self.count = count
        self.layout = Struct(f"@IIQqq{count}d")
        self.pack_into = self.layout.pack_into
        self.size = self.layout.size
        self.last = 0
        """Where the last row of these keys lies; 0: none yet."""


class SpoolWriter:
    """Appends records to one stream's segments.

    Any thread may call; a re-entrant lock keeps order, so that a signal handler or a finalizer that logs in
    the middle of a `log()` neither deadlocks nor tears a record: space is claimed before it is filled.
    """

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
        self._keysets: dict[tuple[str, ...], _Keyset] = {}
        self._next_keyset = 1
        self.number = 0
        """Records numbered so far."""
        self.points = 0
        """Scalar points in them."""
        self._open_segment(format.FIRST_SEGMENT_BYTES)

    def append_row(self, keys: tuple[str, ...], values: Iterable[object], step: int, time_us: int) -> None:
        """Append one row of scalars.

        `keys`: at most MAX_KEYS_PER_ROW valid names. `values`: as many numbers, or objects with __float__.
        Raises struct.error or TypeError when a value is no number or the step no 64-bit integer (nothing is
        appended then), SpoolError when there is no space for a new segment.
        """
        with self._lock:
            keyset = self._keysets.get(keys)
            if keyset is None:
                keyset = self._define(keys)
            size = keyset.size
            if self._end - self._offset < size + 8:
                self._roll(size + 8)
                keyset = self._define(keys)
            # Claim before filling. No call stands between these lines, so no signal handler runs in between.
            start = self._offset
            body = start + 8
            end = body + size
            number = self.number + 1
            self._offset = end
            self.number = number
            view = self._view
            try:
                keyset.pack_into(view, body, 1, keyset.ident, number, time_us, step, *values)
            except BaseException:
                if self._offset != end:
                    # A nested append came behind: fill the claimed space with a record of no value.
                    self._fill_blank(view, start, size, number, time_us)
                    raise
                self._offset = start
                self.number = number - 1
                view[body:end] = bytes(size)
                raise
            _PREFIX_PACK(view, start, _crc32(view[body:end]) << 32 | size)
            keyset.last = body
            self.points += keyset.count

    def last_values(self) -> dict[str, float]:
        """The value of each key in the last row that had it. Read back from the spool: `append_row` keeps no
        reference to what it was given, which may be a tensor with a whole graph behind it."""
        with self._lock:
            values = dict(self._last)
            for keys, keyset in sorted(self._keysets.items(), key=lambda item: item[1].last):
                if keyset.last:
                    values.update(zip(keys, keyset.layout.unpack_from(self._view, keyset.last)[5:], strict=True))
            return values

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
            self._seal_segment(self._map, self._offset)

    def close(self) -> None:
        """Unmap. The records stay on disk."""
        with self._lock:
            self._close_segment(self._map, self._view)

    def _fill_blank(self, view: memoryview, start: int, size: int, number: int, time_us: int) -> None:
        body = start + 8
        view[body : body + size] = bytes(size)
        format.SIZED.pack_into(view, body, format.KIND_JSON, 0, number, time_us, 0)
        _PREFIX_PACK(view, start, _crc32(view[body : body + size]) << 32 | size)

    def _define(self, keys: tuple[str, ...]) -> _Keyset:
        """Number a key list in this segment and write it down, so that a segment can be read by itself."""
        if self._check_keys is not None:
            self._check_keys(keys)
        keyset = _Keyset(self._next_keyset, len(keys))
        data = "\0".join(keys).encode("utf-8", "surrogatepass")
        row = keyset.size + 8
        needed = format.padded(format.SIZED.size + len(data)) + 8 + row
        if self._end - self._offset < needed:
            self._roll(needed)
        self._next_keyset += 1
        self._append_sized(format.KIND_KEYSET, keyset.ident, data, None)
        self._keysets[keys] = keyset
        return keyset

    def _append_sized(self, kind: int, keyset: int, data: bytes, time_us: int | None) -> int:
        """Append bytes of any length. Returns the record's number, 0 for a keyset."""
        size = format.padded(format.SIZED.size + len(data))
        if self._end - self._offset < size + 8:
            self._roll(size + 8)
        if time_us is None:
            time_us = time.time_ns() // 1000
        start = self._offset
        number = self.number + 1 if kind == 3 else 0  # KIND_JSON; claimed together with its place, as above
        self._offset = start + 8 + size
        self.number += kind == 3
        view, body = self._view, start + 8
        format.SIZED.pack_into(view, body, kind, keyset, number, time_us, len(data))
        first = body + format.SIZED.size
        view[first : first + len(data)] = data
        _PREFIX_PACK(view, start, _crc32(view[body : body + size]) << 32 | size)
        return number

    def _roll(self, needed: int) -> None:
        """Go on in a new segment that holds at least `needed` bytes of records; seal the old one."""
        size = max(format.SEGMENT_BYTES, format.padded(needed) + 2 * format.HEADER_BYTES + format.RESERVE_BYTES)
        if self._quota is not None:
            self._quota.make_room(self._folder, self._segment, size)
        self._last = self.last_values()
        while True:
            old_map, old_view, old_offset = self._map, self._view, self._offset
            try:
                self._open_segment(size)
                break
            except SpoolError as error:
                if self._quota is None or not self._quota.found_room(self._folder, self._segment, error):
                    raise
        self._seal_segment(old_map, old_offset)
        with contextlib.suppress(BufferError):  # an append that this one interrupted still fills its record
            self._close_segment(old_map, old_view)

    def _open_segment(self, size: int) -> None:
        index = self._segment + 1
        mapped = self._make_segment(self._folder / format.segment_name(index), size)
        format.SEGMENT_HEADER.pack_into(
            mapped, 0, format.MAGIC, format.HEADER_BYTES, 0, index, size, time.time_ns() // 1000
        )
        format.PREFIX.pack_into(mapped, format.POINTS_OFFSET, self.points)
        format.PREFIX.pack_into(mapped, format.RECORDS_OFFSET, self.number)
        self._segment = index
        self._map = mapped
        self._view = memoryview(mapped)
        self._offset = format.HEADER_BYTES
        self._end = size - format.RESERVE_BYTES
        self._keysets = {}

    def _make_segment(self, path: Path, size: int) -> mmap.mmap | bytearray:
        return files.map_new(path, size)

    def _seal_segment(self, mapped: mmap.mmap | bytearray, offset: int) -> None:
        format.PREFIX.pack_into(mapped, format.SEALED_OFFSET, offset)

    def _close_segment(self, mapped: mmap.mmap | bytearray, view: memoryview) -> None:
        view.release()
        if isinstance(mapped, mmap.mmap):
            mapped.close()


def split_keys(keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Key lists of at most MAX_KEYS_PER_ROW, in order."""
    width = format.MAX_KEYS_PER_ROW
    return [tuple(keys[start : start + width]) for start in range(0, len(keys), width)]
