"""Conversion of the spool's records into batches of the wire: the same records always give the same bytes."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from itertools import pairwise

from runstream.sender.wire_records import Unreadable, convert
from runstream.sender.wire_time import wire_time
from runstream_proto.v1 import ingest_pb2 as pb

TARGET_BYTES = 512 << 10
"""A batch is cut when it holds this much: large enough that its own cost is small, small enough to be resent."""
MAX_ROWS = 65_536
_WIDTHS = ((1, "b"), (2, "h"), (4, "i"), (8, "q"))
_UNSIGNED = ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))


@dataclass(frozen=True, slots=True)
class SpooledContent:
    """A file in the stream's `media` folder."""

    name: str
    sha256: str
    size_bytes: int


class _Columns:
    """The gathered rows of one key list."""

    __slots__ = ("keys", "numbers", "times", "steps_and_values")

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self.numbers: list[int] = []
        self.times: list[int] = []
        self.steps_and_values = bytearray()


class BatchBuilder:
    """A `Sink` that gathers records up to a size and makes a Batch of them."""

    def __init__(self) -> None:
        self._frames: dict[tuple[str, ...], _Columns] = {}
        self._records: list[pb.Record] = []
        self._bytes = 0
        self._rows = 0
        self.first_number = 0
        self.last_number = 0
        self.points = 0
        self.contents: list[SpooledContent] = []
        """The contents that the records refer to; they are uploaded before the batch is sent."""
        self.finished = False
        """True when the stream's finish record is in the batch."""
        self.unreadable: Unreadable | None = None
        """A record that could not be put on the wire completely. It is alone in its batch, so that the server's verdict
        names no other record."""
        self._alone = False

    def __bool__(self) -> bool:
        return self.first_number > 0

    @property
    def full(self) -> bool:
        return self._bytes >= TARGET_BYTES or self._rows >= MAX_ROWS

    def row(self, keyset: tuple[str, ...], number: int, time_us: int, step_and_values: memoryview) -> bool:
        if self._alone:
            return False
        if number != self.last_number + 1 and self.last_number or self._bytes >= TARGET_BYTES or self._rows >= MAX_ROWS:
            return False
        columns = self._frames.get(keyset)
        if columns is None:
            columns = self._frames[keyset] = _Columns(keyset)
            self._bytes += sum(map(len, keyset)) + 4 * len(keyset)
        columns.numbers.append(number)
        columns.times.append(wire_time(time_us))
        columns.steps_and_values += step_and_values
        self._bytes += len(step_and_values)
        self._rows += 1
        self.points += len(keyset)
        self.last_number = number
        if not self.first_number:
            self.first_number = number
        return True

    def json(self, number: int, time_us: int, data: bytes) -> bool:
        if number != self.last_number + 1 and self.last_number or (self and self._bytes + len(data) >= TARGET_BYTES):
            return False
        if self._alone:
            return False
        if data:  # an empty record only fills a number
            record, contents, problem = convert(number, wire_time(time_us), data)
            if problem:
                if self:
                    return False
                self.unreadable = Unreadable(number, data, problem)
                self._alone = True
            self.contents += [SpooledContent(*item) for item in contents]
            self._records.append(record)
            self.finished = self.finished or record.HasField("finish")
        self._bytes += len(data)
        self.last_number = number
        if not self.first_number:
            self.first_number = number
        return True

    def build(self, run: pb.RunPath, writer_id: str, rank: int) -> bytes:
        """Return the serialized Batch of the gathered records."""
        batch = pb.Batch(
            format=1,
            run=run,
            writer_id=writer_id,
            rank=rank,
            first_record=self.first_number,
            last_record=self.last_number,
            points=self.points,
            frames=[_frame(columns) for columns in self._frames.values()],
            records=self._records,
        )
        return batch.SerializeToString(deterministic=True)


def _frame(columns: _Columns) -> pb.MetricFrame:
    rows = len(columns.numbers)
    width = len(columns.keys) + 1  # a row in memory has its step, then its values
    cells = array("q", bytes(columns.steps_and_values))
    steps = cells[::width].tolist()
    if width == 2:
        values = cells[1::2].tobytes()
    else:
        row_bytes = 8 * width
        data = memoryview(columns.steps_and_values)
        values = b"".join([data[start + 8 : start + row_bytes] for start in range(0, len(data), row_bytes)])
    return pb.MetricFrame(
        keys=columns.keys,
        rows=rows,
        first_number=columns.numbers[0],
        number_deltas=pack_deltas(columns.numbers, signed=False),
        first_step=steps[0],
        step_deltas=pack_deltas(steps, signed=True),
        first_time_us=columns.times[0],
        time_deltas=pack_deltas(columns.times, signed=True, ones_are_empty=False),
        values=values,
    )


def pack_deltas(numbers: list[int], *, signed: bool, ones_are_empty: bool = True) -> bytes:
    """Return differences between neighbours in the narrowest width that holds them; nothing when all are 1.

    Signed differences are modulo 2^64, so any two 64-bit integers may follow each other.
    """
    if len(numbers) < 2:
        return b""
    deltas = [b - a for a, b in pairwise(numbers)]
    low, high = min(deltas), max(deltas)
    if ones_are_empty and low == high == 1:
        return b""
    for size, code in _WIDTHS if signed else _UNSIGNED:
        bits = 8 * size
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if least <= low and high <= most:
            return array(code, deltas).tobytes()
    wrapped = [(delta + (1 << 63)) % (1 << 64) - (1 << 63) for delta in deltas]
    return array("q", wrapped).tobytes()


assert sys.byteorder == "little"
