"""The training process's half of the spool: `append_row` returns when the record is in mapped memory.

From there the kernel writes it to disk whatever happens to the process, so a returned call survives SIGKILL (promise
1). Nothing here touches the network or starts a thread. Nothing waits, except for space in a full spool where the
settings want that.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from mmap import mmap
from pathlib import Path
from struct import Struct, pack_into
from typing import cast

from runstream.errors import RecordTooLargeError, SpoolClosedError, SpoolError
from runstream.spool import files, format, sigbus
from runstream.spool.claims import Stretch, Tail, shut
from runstream.spool.holes import walk
from runstream.spool.quota import Quota
from runstream.spool.record_bytes import Missing, definition_span, last_rows, sized_record
from runstream.spool.segment import Keyset, Segment

_ROW_PREFIX_PACK = Struct("@I4s").pack_into
"""Packs `format.PREFIX`, with the length as bytes: the checksum, then the length word."""
_crc32 = format.crc32
_sleep = time.sleep
_SETTLE_PAUSE_S = 0.0005


class SpoolWriter:
    """Appends records to one stream's segments. Any thread may call it, also signal handlers and finalizers.

    Appending takes no lock. A record's place and number are claimed in one step (`spool.claims` says how, and why that
    is safe), then its bytes are written, its length word last: a reader sees a record complete or not at all. A record
    that is claimed but not filled when the process is killed is a hole, which the reader steps over: its call had not
    returned. Values are converted before the claim, so that no code of the user's runs between the two. New segments
    are made under a lock, which saves work: the chain of claims decides which of them is used.
    """

    __slots__ = ("__dict__", "_recent")
    """The attributes that every append uses; the others are in `__dict__`."""

    def __init__(
        self,
        folder: Path,
        check_keys: Callable[[tuple[str, ...]], None] | None = None,
        quota: Quota | None = None,
        segment_bytes: int = format.SEGMENT_BYTES,
    ) -> None:
        """Make the first segment.

        `check_keys` gets each new key list, and raises the error that `append_row` must raise. `segment_bytes` is the
        size of later segments; the first is smaller. Raises SpoolError.
        """
        self._folder = folder
        self._quota = quota
        self._check_keys = check_keys
        self._segment_bytes = segment_bytes
        self._lock = threading.RLock()
        self._hidden_names = itertools.count()
        self._last: dict[str, float] = {}
        self._left: Segment | None = None
        """The segment before the current one."""
        self._in_use: list[weakref.ref[Segment]] = []
        """Segments that are no longer current: those that still exist have records that are being filled."""
        self._dropped = 0
        self.broken = False
        """True when a file was truncated under its mapping: records whose call had returned may be gone."""
        self._missing: dict[int, Missing] = {}
        """Maps a segment's index to its points that were claimed and are not there."""
        first_bytes = min(format.FIRST_SEGMENT_BYTES, segment_bytes)
        first = self._make_segment(0, first_bytes, format.segment_name(0), hidden=False)
        first.write_header()
        self._segment = first
        self._recent = Keyset((), 0, first)

    @property
    def number(self) -> int:
        """The number of the last record."""
        return self._tail()[1]

    @property
    def points(self) -> int:
        """The number of scalar points in the records."""
        start, records, stretch = self._tail()
        return stretch.points_before(start, records) - self._missing_points()

    @property
    def closed(self) -> bool:
        """True when the stream has ended."""
        return self._tail()[2].shut

    def append_row(self, keys: tuple[str, ...], values: Iterable[object], step: int, time_us: int) -> None:
        """Append one row of scalars.

        `keys`: at most MAX_KEYS_PER_ROW valid names. `values`: as many numbers, or objects with __float__.
        Raises struct.error or TypeError when a value is no number or the step no 64-bit integer, SpoolError when there
        is no space for a new segment, SpoolClosedError when the stream has ended; nothing is appended then.
        """
        keyset = self._recent
        if keys != keyset.keys:
            keyset = self._find(keys)
        while True:
            segment = keyset.segment
            start, records, stretch = segment.tail
            end = start + keyset.span
            if end > stretch.limit:
                if not segment.make_room(keyset.span):
                    keyset = self._find_in_next(keyset)
                continue
            number = records + 1
            # This comes before the claim, because a value's __float__ may be any code: it may raise, wait, or log.
            row = keyset.pack(keyset.head, number, time_us, step, *values)
            try:
                if stretch.claim(number, row) is not row:
                    segment.tail = segment.last()
                    values = keyset.layout.unpack(row)[4:]  # plain numbers: no __float__ runs a second time
                    continue
                segment.tail = (end, number, stretch)
                keyset.fill(segment.view, start, row)
                _ROW_PREFIX_PACK(segment.view, start, _crc32(row), keyset.length)
            except BaseException as error:  # Ctrl-C may come at any moment
                if stretch.claims.get(number) is row:
                    self._give_up(error, segment, start, keyset.span, number, keyset.count)
                raise
            if segment.suspect and self._look_again(segment, start, keyset.count):
                keyset = self._find_in_next(keyset)
                values = keyset.layout.unpack(row)[4:]
                continue
            keyset.last = start
            return

    def append_json(self, text: str, time_us: int | None = None) -> int:
        """Append one record that is not a row, as JSON, and return its number.

        Raises RecordTooLargeError beyond MAX_JSON_BYTES, SpoolError when there is no space, SpoolClosedError.
        """
        data = text.encode("utf-8", "surrogatepass")
        if len(data) > format.MAX_JSON_BYTES:
            limit = format.MAX_JSON_BYTES
            raise RecordTooLargeError(f"a record of {len(data)} bytes is larger than the limit of {limit}")
        return self._append_sized(format.KIND_JSON, data, time_us)[2]

    def end(self, make_text: Callable[[int, int], str], patience_s: float = 1.0) -> int:
        """End the stream, append one last record, seal the segment, and return the last record's number.

        No other record can be appended from then on. The call waits until the records that were claimed before are
        filled. A record that another thread has not filled after `patience_s` is given up: its call raises
        SpoolClosedError. `make_text` makes the last record from the numbers of points and records that were appended.
        Needs no free space. Raises SpoolClosedError when the stream has ended before, SpoolError when the record cannot
        be written.
        """
        segment, start, records, points = self._shut()
        self._settle(segment, start, records, points, patience_s)
        data = make_text(points - self._missing_points(), records).encode("utf-8", "surrogatepass")
        if len(data) > format.LAST_BYTES - format.SIZED.size:
            raise SpoolError(f"the last record has {len(data)} bytes: at most {format.LAST_BYTES - format.SIZED.size}")
        span = format.PREFIX.size + format.LAST_BYTES
        self._put(segment, start, sized_record(format.KIND_JSON, 0, records + 1, None, data, span), last=True)
        self._seal(segment)
        return records + 1

    def last_values(self) -> dict[str, float]:
        """Return the value of each key in the last row that had it.

        The values are read back from the spool: `append_row` keeps no reference to the objects that it was given, which
        may be tensors with a whole graph behind them.
        """
        with self._lock:
            left = last_rows(self._left) if self._left is not None else {}
            return {**self._last, **left, **last_rows(self._segment)}

    def note_dropped(self, points: int) -> None:
        """Write into the spool how many points this process had to give up so far. Raises nothing.

        The sender reports the number when the process ends without a finish record.
        """
        self._dropped = points
        with contextlib.suppress(OSError):  # raised where files are not mapped; the next segment has the number
            self._segment.write_dropped(points)

    def move(self, folder: Path) -> None:
        """Rename the stream's folder. Raises OSError."""
        with self._lock:
            self._folder.rename(folder)
            self._folder = folder

    def seal(self) -> None:
        """End the stream without a last record: the sender need not read it again."""
        segment, start, records, points = self._shut(last=False)
        self._settle(segment, start, records, points, 0.0)
        self._seal(segment)

    def close(self) -> None:
        """Release the memory. The records stay on disk; nothing is appended any more.

        A thread that is still filling a record keeps its mapping until it has done so.
        """
        if not self._segment.last()[2].shut:
            self._shut(last=False)
        self._leave()

    def abandon(self) -> None:
        """Leave the stream to the parent, in a forked child. Later calls here raise SpoolClosedError."""
        self._lock = threading.RLock()  # another thread of the parent may have held it
        start, records, stretch = self._segment.last()
        self._segment.tail = (0, records, shut(records, stretch.points_before(start, records), 0, None))
        self._leave()

    # Private methods

    def _leave(self) -> None:
        start, records, stretch = self._segment.last()
        nowhere = Segment(self._segment.index, format.HEADER_BYTES, bytearray(format.HEADER_BYTES), None)
        nowhere.tail = (0, records, shut(records, stretch.points_before(start, records), 0, None))
        for segment in (self._segment, self._left):
            if segment is not None:
                segment.keysets = {}
        self._segment = nowhere
        self._left = None
        self._recent = Keyset((), 0, nowhere)

    def _tail(self) -> Tail:
        """Return the place where the stream ends now."""
        last = self._segment.last()
        while last[2].successor is not None:
            last = last[2].successor.last()
        return last

    def _missing_points(self) -> int:
        return sum(missing.points for missing in list(self._missing.values()))

    def _find(self, keys: tuple[str, ...]) -> Keyset:
        """Return the keys in the current segment; define them there if they were not defined."""
        keyset = self._segment.keysets.get(keys) or self._define(keys)
        self._recent = keyset
        return keyset

    def _find_in_next(self, keyset: Keyset) -> Keyset:
        """Return the keys in the next segment, when their segment has no room for a row of them."""
        self._go_on_from(keyset.segment, keyset.span + definition_span(keyset.keys))
        return self._find(keyset.keys)

    def _define(self, keys: tuple[str, ...]) -> Keyset:
        """Write a key list into the current segment, so that a segment can be read by itself.

        Two threads may do so at once: one of the definitions is used, and both are true.
        """
        if self._check_keys is not None:
            self._check_keys(keys)
        data = "\0".join(keys).encode("utf-8", "surrogatepass")
        segment, start, _ = self._append_sized(format.KIND_KEYSET, data, None)
        return segment.keysets.setdefault(keys, Keyset(keys, start, segment))

    def _append_sized(self, kind: int, data: bytes, time_us: int | None) -> tuple[Segment, int, int]:
        """Append bytes of any length. Return their place, and the record's number (0 for a key list)."""
        span = format.PREFIX.size + format.padded(format.SIZED.size + len(data))
        numbers = int(kind == format.KIND_JSON)

        def make(start: int, number: int) -> bytes:
            ident = 0 if numbers else start  # a key list is identified by its place, which no other one has
            return sized_record(kind, ident, number, time_us, data, span)

        while True:
            segment = self._segment
            found = self._append(segment, span, numbers, 0, make)
            if found is not None:
                return segment, *found
            self._go_on_from(segment, span)

    def _append(
        self, segment: Segment, span: int, numbers: int, points: int, make: Callable[[int, int], bytes]
    ) -> tuple[int, int] | None:
        """Claim `span` bytes, and fill them with the result of `make` for their place and number.

        Return place and number, or None when the segment has no room. `append_row` of mapped files does the same in one
        piece.
        """
        while True:
            start, records, stretch = place = segment.last()
            claim = segment.follow(place, span, numbers, points)
            if claim is None:
                return None
            number = records + 1 if numbers else 0
            try:
                if stretch.claim(records + 1, claim) is not claim:
                    continue
                segment.tail = (claim.start, claim.records, claim)
                self._put(segment, start, make(start, number))
            except BaseException as error:
                if stretch.claims.get(records + 1) is claim:
                    self._give_up(error, segment, start, span, number, points)
                raise
            if segment.suspect and self._look_again(segment, start, points):
                return None
            return start, number

    def _put(self, segment: Segment, start: int, record: bytes, *, last: bool = False) -> None:
        """Fill claimed bytes, the length word last.

        `last`: for the thread that ends the stream, when the segment may be revoked. Raises SpoolError where files are
        not mapped, TypeError or ValueError when the segment is revoked.
        """
        view = segment.mapped if last else segment.view
        pack_into(f"{len(record) - 8}s", view, start + 8, record[8:])
        pack_into("8s", view, start, record[:8])

    def _give_up(self, error: BaseException, segment: Segment, start: int, span: int, number: int, points: int) -> None:
        """Fill a claim with an empty record after an exception, so that no reader waits for it.

        A record that is complete stays. Raises SpoolClosedError when the exception means that `end()` has given the
        record up.
        """
        if segment.revoked:
            if isinstance(error, (TypeError, ValueError)):  # the view was released
                raise SpoolClosedError("the run ended while this was being logged") from None
            return
        if format.PREFIX.unpack_from(segment.mapped, start)[1]:
            return
        self._note_missing(segment, points)
        with contextlib.suppress(TypeError, ValueError):  # revoked meanwhile: the thread that revoked it fills it
            self._put_void(segment, start, span, number)

    def _note_missing(self, segment: Segment, points: int) -> None:
        self._missing.setdefault(segment.index, Missing()).given_up.append(points)

    def _put_void(self, segment: Segment, start: int, span: int, number: int, *, last: bool = False) -> None:
        """Fill claimed bytes with an empty record. `number` is 0 in place of a key list's definition."""
        kind = format.KIND_JSON if number else format.KIND_KEYSET
        self._put(segment, start, sized_record(kind, 0, number, None, b"", span), last=last)

    def _look_again(self, segment: Segment, start: int, points: int) -> bool:
        """Return True when the file was truncated while a record was filled: the record must be appended again."""
        if segment.broken:
            self.broken = True
            self._note_missing(segment, points)
        return segment.broken

    def _go_on_from(self, segment: Segment, needed: int) -> None:
        """Return when the current segment is another one. Raises SpoolError, SpoolClosedError."""
        with self._writing(), self._lock:
            while self._segment is segment:
                self._roll(segment, needed)

    def _roll(self, old: Segment, needed: int) -> None:
        """Make a segment that holds at least `needed` bytes of records, and go on there.

        The caller holds the lock. But a signal handler may do the same in between, and then one of the two segments is
        used.
        """
        size = max(self._segment_bytes, format.padded(needed) + 2 * format.HEADER_BYTES + format.RESERVE_BYTES)
        if self._quota is not None and not old.last()[2].shut:
            self._quota.make_room(self._folder, old.index, size, lambda: old.last()[2].shut)
        while not (last := old.last())[2].shut:
            name, new = self._hidden_name(old.index + 1), None
            try:
                new = self._make_segment(old.index + 1, size, name, hidden=True)
                while not last[2].shut:
                    start, records, stretch = last
                    points = stretch.points_before(start, records)
                    new.begin_behind(records, points)
                    stretch.claim(records + 1, shut(records, points, start, new))
                    last = old.last()
            except SpoolError as error:
                if self._quota is None or not self._quota.found_room(self._folder, old.index, error):
                    raise
            finally:
                if new is None or old.last()[2].successor is not new:
                    (self._folder / name).unlink(missing_ok=True)
        self._switch(old, last[2])

    def _switch(self, old: Segment, last: Stretch) -> None:
        """Apply a chain's last stretch: end the stream, or go on in its successor.

        The call may be repeated, and two threads may make it at once. Raises SpoolClosedError, OSError.
        """
        if last.successor is None:
            raise SpoolClosedError("the stream has ended")
        new = cast("Segment", last.successor)  # `_roll` makes every successor
        new.write_header()
        new.write_dropped(self._dropped)
        hidden = new.hidden
        if hidden is not None:
            with contextlib.suppress(FileNotFoundError):  # another thread has renamed it a moment ago
                (self._folder / hidden).rename(self._folder / format.segment_name(new.index))
            new.hidden = None
        old.seal(last.end)  # its successor can be found now: a sealed segment without one is the stream's last
        if self._segment is old:
            if self._left is not None:
                self._last.update(last_rows(self._left))
                self._left.keysets = {}  # they refer to their segment, whose memory is freed at once without them
            self._in_use = [one for one in self._in_use if one() is not None] + [weakref.ref(old)]
            self._left, self._segment = old, new

    def _shut(self, *, last: bool = True) -> tuple[Segment, int, int, int]:
        """Let no thread claim any more, except for the last record.

        Return the segment, the place of the last record, and the records and points before it. Takes no lock: a thread
        that waits for room in a full spool may hold it. Raises SpoolClosedError.
        """
        while True:
            segment = self._segment
            start, records, stretch = segment.last()
            if stretch.shut:
                self._switch(segment, stretch)
                continue
            points = stretch.points_before(start, records)
            end = start + (format.PREFIX.size + format.LAST_BYTES if last else 0)
            final = shut(records + int(last), points, end, None)
            if stretch.claim(records + 1, final) is final:
                return segment, start, records, points

    def _settle(self, segment: Segment, end: int, records: int, points: int, patience_s: float) -> None:
        """Wait until all records before `end` are filled; give up those that are not after `patience_s`.

        Raises SpoolError.
        """
        deadline = time.monotonic() + patience_s
        for one in self._in_use:
            left = one()
            if left is not None:
                last = left.last()[2]
                self._settle_segment(left, last.end, last.records, last.points, deadline)
        self._settle_segment(segment, end, records, points, deadline)

    def _settle_segment(self, segment: Segment, end: int, records: int, points: int, deadline: float) -> None:
        if segment.broken:
            return  # records that are gone were logged, and the server must report them as missing
        holes = walk(segment, end, records)[1]
        while holes and time.monotonic() < deadline:
            _sleep(_SETTLE_PAUSE_S)
            holes = walk(segment, end, records)[1]
        if not holes:
            return
        # The segment is revoked before it is read: a record that came between reading and filling would be seen by a
        # reader, and be overwritten afterwards.
        with self._writing():
            segment.revoke()
        there, holes = walk(segment, end, records)
        self._missing.setdefault(segment.index, Missing()).settled = points - segment.points_before - there
        for hole in holes:
            for start, span, number in hole.records():
                self._put_void(segment, start, span, number, last=True)

    def _seal(self, segment: Segment) -> None:
        """Seal a segment at its end. Raises SpoolError."""
        with self._writing():
            segment.seal(segment.last()[2].end)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise SpoolError for an error of the file system in the block."""
        try:
            yield
        except OSError as error:
            raise SpoolError(f"cannot write to the spool in {self._folder}: {error.strerror}") from error

    def _make_segment(self, index: int, size: int, name: str, *, hidden: bool) -> Segment:
        """Make a segment's file under this name; a hidden one is not yet known to be the next. Raises SpoolError."""
        segment = Segment(index, size, files.map_new(self._folder / name, size), name if hidden else None)
        own = weakref.ref(segment)

        def tell() -> None:
            if (broken := own()) is not None:
                broken.note_broken()

        sigbus.guard(cast("mmap", segment.mapped), tell)
        return segment

    def _hidden_name(self, index: int) -> str:
        return f".{format.segment_name(index)}-{next(self._hidden_names)}"
