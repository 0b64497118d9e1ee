"""Where one batch of a stream ends and the next begins: records are gathered, and each boundary is journalled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runstream.sender.batch import BatchBuilder, SpooledContent
from runstream.sender.own_batches import build_own_batch, run_path
from runstream.sender.wire_records import Unreadable
from runstream.spool import format
from runstream.spool.folder import StreamMeta, is_alive
from runstream.spool.format import SpoolPosition
from runstream.spool.journal import (
    KIND_CRASHED,
    KIND_HEARTBEAT,
    KIND_LOST,
    KIND_RECORDS,
    KIND_UNFINISHED,
    Journal,
    JournalEntry,
)
from runstream.spool.reader import SpoolReader

LINGER_S = 0.1
"""A batch is cut this many seconds after its first record at the latest."""
HEARTBEAT_S = 15.0


@dataclass(frozen=True, slots=True)
class CutBatch:
    """A batch with its number. It never changes: a resend is byte-identical."""

    number: int
    data: bytes
    contents: Sequence[SpooledContent] = ()
    """The contents that the batch refers to; they are uploaded before it."""


class BatchCutter:
    """Reads one stream from the acked position on, and cuts it into batches."""

    def __init__(
        self, folder: Path, meta: StreamMeta, acked: int, keep_unreadable: Callable[[Unreadable], None]
    ) -> None:
        """Begin behind batch `acked`.

        `keep_unreadable` keeps a record that cannot be put on the wire. Raises OSError, SpoolError.
        """
        self._folder = folder
        self._meta = meta
        self._keep_unreadable = keep_unreadable
        self.journal = Journal(folder / "batches")
        acked_entry = next((entry for entry in self.journal.entries if entry.number == acked), None)
        start = acked_entry.end if acked_entry else SpoolPosition(0, format.HEADER_BYTES)
        self._reader = SpoolReader(folder, start)
        self._points = acked_entry.points_total if acked_entry else 0
        self.last_record = acked_entry.last_record if acked_entry else 0
        """The number of the last record that is in a batch."""
        self._finished = acked_entry.finished if acked_entry else False
        self._acked_at_start = acked
        self._next_number = acked + 1
        self.journal.forget_before(acked)
        self._end = start
        self._pending = BatchBuilder()
        self._pending_since = 0.0
        self._last_heartbeat = time.monotonic()
        self._damage_told = (0, 0)
        self.ended = False
        """True when no other batch follows."""
        self.caught_up = False
        """True when all records that the process wrote are read."""

    @property
    def pending(self) -> bool:
        """Whether records were read that are in no batch yet."""
        return bool(self._pending)

    def close(self) -> None:
        self._reader.close()
        self.journal.close()

    def rebuild_unacked(self) -> Iterator[CutBatch]:
        """Yield the batches again that were cut but not acked: the same records give the same bytes."""
        for entry in self.journal.entries:
            if entry.number <= self._acked_at_start:
                continue
            contents: Sequence[SpooledContent] = ()
            if entry.kind == KIND_RECORDS:
                builder = BatchBuilder()
                self._reader.drain(builder, entry.end)
                data = self._build(builder)
                contents = builder.contents
                if (builder.first_number, builder.last_number) != (entry.first_record, entry.last_record):
                    data = self._build_own(entry, lost=True)  # the process has dropped the records since then
            else:
                data = self._build_own(entry)
            self._note(entry)
            yield CutBatch(entry.number, data, contents)

    def next_batch(self) -> CutBatch | None:
        """Return the next batch that is due, written to the journal; return None when none is due.

        Raises OSError where the disk is too full for the journal: the batch is cut later then.
        """
        if not self._pending and not self._finished and time.monotonic() - self._last_heartbeat >= HEARTBEAT_S:
            self._last_heartbeat = time.monotonic()
            return self._cut_own(KIND_HEARTBEAT)  # also between other batches, which are no sign of life themselves
        dead = not is_alive(self._folder)  # checked before reading: all records of a dead process are there
        more = not self._reader.drain(self._pending, dead=dead)
        self.caught_up = not more
        sealed = not more and self._reader.at_end()
        now = time.monotonic()
        if self._pending:
            if not self._pending_since:
                self._pending_since = now
            if more or sealed or dead or self._pending.full or now - self._pending_since >= LINGER_S:
                return self._cut_pending()
            return None
        if more:
            return None
        if (sealed or dead) and self._finished:
            self.ended = True
        elif (sealed or dead) and self._reader.damage.at_end:
            cut = self._cut_lost(self.last_record + 1)  # at least one is lost; no later record tells how many
            self._reader.damage.at_end = False
            return cut
        elif sealed or dead:
            # The process died without a finish record, or there was no space for it.
            return self._cut_own(KIND_CRASHED)
        return None

    def _cut_pending(self) -> CutBatch:
        """Cut a batch of the gathered records. Records that are missing before them are reported first."""
        if self._pending.first_number > self.last_record + 1:
            return self._cut_lost(self._pending.first_number - 1)
        builder = self._pending
        entry = JournalEntry(
            self._next_number,
            KIND_RECORDS,
            builder.first_number,
            builder.last_number,
            self._reader.place,
            self._points + builder.points,
            time.time_ns() // 1000,
            self._finished or builder.finished,
        )
        if builder.unreadable is not None:
            self._keep_unreadable(builder.unreadable)
            builder.unreadable = None
        cut = self._journalled(entry, self._build(builder), builder.contents)
        self._pending, self._pending_since = BatchBuilder(), 0.0
        return cut

    def _cut_lost(self, last: int) -> CutBatch:
        """Cut a batch that says that the records up to `last` will never come.

        The number of their points is known between segments.
        """
        points = self._reader.points_before(last)
        damage = self._reader.damage
        unfinished = damage.unfinished > 0 and (damage.records, damage.segments) == self._damage_told
        entry = JournalEntry(
            self._next_number,
            KIND_UNFINISHED if unfinished else KIND_LOST,
            self.last_record + 1,
            last,
            self._end,
            self._points if points is None else max(points, self._points),
            time.time_ns() // 1000,
            self._finished,
        )
        cut = self._journalled(entry, self._build_own(entry))
        self._damage_told = damage.records, damage.segments
        damage.unfinished = 0
        return cut

    def _cut_own(self, kind: int) -> CutBatch:
        """Cut a batch of the sender's own: a heartbeat, or the finish record of a process that wrote none."""
        last = self.last_record + (1 if kind == KIND_CRASHED else 0)
        now_us = time.time_ns() // 1000
        entry = JournalEntry(
            self._next_number,
            kind,
            self.last_record + 1,
            last,
            self._reader.place,
            self._points,
            now_us,
            self._finished or kind == KIND_CRASHED,
        )
        return self._journalled(entry, self._build_own(entry))

    def _journalled(self, entry: JournalEntry, data: bytes, contents: Sequence[SpooledContent] = ()) -> CutBatch:
        self.journal.append(entry)
        self._note(entry)
        return CutBatch(entry.number, data, contents)

    def _note(self, entry: JournalEntry) -> None:
        self._next_number = entry.number + 1
        self.last_record = entry.last_record
        self._points = entry.points_total
        self._end = entry.end
        self._finished = entry.finished
        self.ended = self.ended or entry.kind == KIND_CRASHED

    def _build(self, builder: BatchBuilder) -> bytes:
        return builder.build(run_path(self._meta), self._meta.writer_id, self._meta.rank)

    def _build_own(self, entry: JournalEntry, *, lost: bool = False) -> bytes:
        return build_own_batch(entry, self._meta, self._points, self._reader.dropped_points, lost=lost)
