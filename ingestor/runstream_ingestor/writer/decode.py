"""Decode batches into columns with numpy alone: no Python object is made for a point."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runstream_common import limits
from runstream_common.bus.protocol import Delivery, Origin
from runstream_common.identity import version
from runstream_ingestor import validation
from runstream_proto.v1 import ingest_pb2 as pb

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PointBlock:
    """The rows of one list of keys of one process.

    `steps` and `times_us` are (R,) int64, `versions` (R,) uint64, `values` (R, K) float64, a view of the batch.
    """

    origin: Origin
    keys: tuple[str, ...]
    steps: Int64
    times_us: Int64
    versions: NDArray[np.uint64]
    values: Float64

    @property
    def points(self) -> int:
        return int(self.values.size)


@dataclass(slots=True)
class DecodedBatch:
    """One batch, decoded."""

    delivery: Delivery
    batch: pb.Batch
    blocks: list[PointBlock] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)
    """The number of points that were rejected, by reason."""
    rejected_records: dict[str, int] = field(default_factory=dict)
    """The number of records other than points that were rejected, by reason. It is known once their rows are made."""
    lost: dict[str, int] = field(default_factory=dict)
    """The number of points that the sender says will never come, by reason. They are in no batch."""
    may_replace: bool = True
    """Whether rows of the batch's steps may be stored already: see `replacement_tracker.py`."""
    marked: int = 0
    """The serial number of the rank in `HighestSteps` that decided `may_replace`, or 0."""

    def all_rejected(self) -> dict[str, int]:
        """Return the number of points and other records that were rejected, by reason."""
        reasons = [*self.rejected, *self.rejected_records]
        return {reason: self.rejected.get(reason, 0) + self.rejected_records.get(reason, 0) for reason in reasons}


def decode(delivery: Delivery) -> DecodedBatch:
    """Decode a batch. Raise InvalidBatchError when the whole batch can never be stored.

    Rows with a step or time out of range are left out and counted in `rejected`; the other rows stay.
    """
    origin = delivery.message.origin
    batch = validation.parse(delivery.message.value)
    validation.check_batch(batch)
    validation.check_origin(batch, origin)
    decoded = DecodedBatch(delivery, batch)
    for frame in batch.frames:
        block = _block(frame, origin, decoded.rejected)
        if block is not None:
            decoded.blocks.append(block)
    return decoded


def _block(frame: pb.MetricFrame, origin: Origin, rejected: dict[str, int]) -> PointBlock | None:
    rows, width = frame.rows, len(frame.keys)
    steps = unpack(frame.first_step, frame.step_deltas, rows, signed=True)
    times = unpack(frame.first_time_us, frame.time_deltas, rows, signed=True)
    numbers = unpack(frame.first_number, frame.number_deltas, rows, signed=False)
    values = np.frombuffer(frame.values, dtype="<f8").reshape(rows, width)
    good = np.ones(rows, dtype=bool)
    for reason, fits in (
        ("step out of range", (steps >= -limits.MAX_STEP) & (steps <= limits.MAX_STEP)),
        ("time out of range", (times >= limits.MIN_TIME_US) & (times <= limits.MAX_TIME_US)),
        ("record number out of range", (numbers >= 1) & (numbers <= limits.MAX_RECORD_NUMBER)),
    ):
        bad = int(np.count_nonzero(good & ~fits))
        if bad:
            rejected[reason] = rejected.get(reason, 0) + bad * width
            good &= fits
    if not good.all():
        steps, times, numbers, values = steps[good], times[good], numbers[good], values[good]
    if not len(steps):
        return None
    versions = numbers.astype(np.uint64) + np.uint64(version(origin.epoch, 0))
    return PointBlock(origin, tuple(frame.keys), steps, times, versions, values)


def unpack(first: int, deltas: bytes, rows: int, *, signed: bool) -> Int64:
    """Return (rows,) int64 of a first value and packed differences (modulo 2^64). No differences mean 1 each."""
    numbers = np.empty(rows, dtype=np.int64)
    numbers[0] = np.uint64(first & 0xFFFFFFFFFFFFFFFF).astype(np.int64)
    if not deltas:
        numbers[1:] = 1
    else:
        width = validation.delta_width(len(deltas), rows)
        numbers[1:] = np.frombuffer(deltas, dtype=f"<{'i' if signed else 'u'}{width}").astype(np.int64)
    return np.cumsum(numbers, out=numbers)
