"""`Histogram`: a distribution at one step, as bin edges and counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from runstream.data.loggable import Loggable, Outbox
from runstream.errors import UsageError

MAX_BINS = 512


class Histogram(Loggable):
    """Of samples, or of counts that are known already.

    `sequence`: numbers in any shape (list, array, tensor); NaN and infinities are left out of the bins.
    `np_histogram`: (counts, edges) as `numpy.histogram` returns them; edges are one more than counts.
    `num_bins`: 1 to 512, of equal width between the smallest and the largest finite sample.
    """

    MAX_LENGTH = MAX_BINS

    def __init__(self, sequence: Any = None, np_histogram: tuple[Any, Any] | None = None, num_bins: int = 64) -> None:
        self.edges: list[float] = []
        self.counts: list[float] = []
        try:
            if np_histogram is not None:
                self._of_counts(*np_histogram)
            elif sequence is not None:
                self._of_samples(sequence, num_bins)
            else:
                raise UsageError("a Histogram is made of a sequence, or of np_histogram=(counts, edges)")
        except UsageError as error:
            self.problem = str(error)
        except Exception as error:  # noqa: BLE001  # whatever a foreign object raises when it is read
            self.problem = f"{type(error).__name__}: {error}"

    def write(self, key: str, step: int, out: Outbox) -> None:
        if self.problem:
            raise UsageError(self.problem)
        out.record("histogram", {"key": key, "step": step, "edges": self.edges, "counts": self.counts})

    def _of_counts(self, counts: Any, edges: Any) -> None:
        self.counts, self.edges = _numbers(counts), _numbers(edges)
        if not 1 <= len(self.counts) <= MAX_BINS or len(self.edges) != len(self.counts) + 1:
            raise UsageError(
                f"a histogram of {len(self.counts)} counts and {len(self.edges)} edges: "
                f"1 to {MAX_BINS} counts, and one edge more"
            )
        if any(not math.isfinite(edge) for edge in self.edges) or sorted(self.edges) != self.edges:
            raise UsageError("a histogram's edges are finite and ascend")

    def _of_samples(self, samples: Any, bins: int) -> None:
        if not isinstance(bins, int) or not 1 <= bins <= MAX_BINS:
            raise UsageError(f"num_bins is {bins!r}: 1 to {MAX_BINS}")
        try:
            import numpy as np
        except ImportError:
            self.counts, self.edges = _count(_numbers(samples), bins)
            return
        array = to_numpy(samples).astype(np.float64, copy=False).ravel()
        array = array[np.isfinite(array)]
        if not array.size:
            raise UsageError("a histogram of no finite sample")
        counts, edges = np.histogram(array, bins=bins)
        self.counts, self.edges = counts.astype(float).tolist(), edges.tolist()


def to_numpy(value: Any) -> Any:
    """An array of a list, array or tensor (of any framework, on any device). Raises what numpy raises."""
    import numpy as np

    for step in ("detach", "cpu"):
        if hasattr(value, step):
            value = getattr(value, step)()
    if hasattr(value, "numpy") and not isinstance(value, np.ndarray):
        try:
            value = value.numpy()
        except TypeError:
            value = value.float().numpy()  # bfloat16, which numpy has no name for
    return np.asarray(value)


def _numbers(values: Any) -> list[float]:
    tolist = getattr(values, "tolist", None)
    return [float(value) for value in _flat(tolist() if callable(tolist) else values)]


def _flat(values: Any) -> list[Any]:
    if isinstance(values, (int, float)):
        return [values]
    return [leaf for value in values for leaf in (_flat(value) if isinstance(value, (list, tuple)) else [value])]


def _count(samples: Sequence[float], bins: int) -> tuple[list[float], list[float]]:
    """numpy.histogram where there is no numpy."""
    finite = [sample for sample in samples if math.isfinite(sample)]
    if not finite:
        raise UsageError("a histogram of no finite sample")
    low, high = min(finite), max(finite)
    if low == high:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / bins
    counts = [0.0] * bins
    for sample in finite:
        counts[min(int((sample - low) / width), bins - 1)] += 1
    return counts, [*(low + width * index for index in range(bins)), high]
