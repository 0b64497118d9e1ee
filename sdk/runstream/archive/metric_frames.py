"""Columns of points as the wire's frames: one series in each frame, records numbered one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runstream_proto.v1 import ingest_pb2 as pb

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

_WIDTHS = ((1, 127), (2, 32_767), (4, 2_147_483_647))


def frame(metric: str, first_number: int, steps: Integers, times_us: Integers, values: Floats) -> pb.MetricFrame:
    """Return the frame of one series. `steps`, `times_us`: (R,) int64; `values`: (R,) float64; R is at least 1."""
    return pb.MetricFrame(
        keys=[metric],
        rows=len(steps),
        first_number=first_number,
        first_step=int(steps[0]),
        step_deltas=pack_deltas(steps, ones_are_empty=True),
        first_time_us=int(times_us[0]),
        time_deltas=pack_deltas(times_us, ones_are_empty=False),
        values=values.astype("<f8").tobytes(),
    )


def pack_deltas(numbers: Integers, *, ones_are_empty: bool) -> bytes:
    """Pack differences as `runstream.sender.batch.pack_deltas` does, for (R,) int64.

    The differences are modulo 2^64, in the narrowest width.
    """
    deltas = numbers[1:] - numbers[:-1]
    if not len(deltas):
        return b""
    low, high = int(deltas.min()), int(deltas.max())
    if ones_are_empty and low == high == 1:
        return b""
    width = next((width for width, most in _WIDTHS if -most - 1 <= low and high <= most), 8)
    return bytes(deltas.astype(f"<i{width}").tobytes())
