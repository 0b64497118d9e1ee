"""`Histogram`: a distribution at one step, as bin edges and counts."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from runstream.base.text import companion_name
from runstream.data.loggable import Loggable, Outbox
from runstream.errors import UsageError

MAX_BINS = 512


class Histogram(Loggable):
    """A histogram of samples, or of counts that are known already.

    `sequence`: numbers in any shape (list, array, tensor). NaN and infinities are in no bin: their number is logged as
    the metric `<key>.not_finite`, where there are any.
    `np_histogram`: (counts, edges) as `numpy.histogram` returns them; there is one edge more than counts.
    `num_bins`: 1 to 512, of equal width between the smallest and the largest finite sample; there are fewer bins where
    too few doubles lie between these two.
    """

    MAX_LENGTH = MAX_BINS

    def __init__(
        self, sequence: object = None, np_histogram: tuple[object, object] | None = None, num_bins: int = 64
    ) -> None:
        self.edges: list[float] = []
        self.counts: list[float] = []
        self.not_finite = 0
        """The number of samples that are NaN or infinite."""
        try:
            if np_histogram is not None:
                self._of_counts(*np_histogram)
            elif sequence is not None:
                self._of_samples(sequence, num_bins)
            else:
                raise UsageError("a Histogram is made of a sequence, or of np_histogram=(counts, edges)")
        except UsageError as error:
            self.problem = str(error)
        except Exception as error:  # noqa: BLE001  # a foreign object may raise anything when it is read
            self.problem = f"{type(error).__name__}: {error}"

    def write(self, key: str, step: int, out: Outbox) -> None:
        if self.problem:
            raise UsageError(self.problem)
        if self.not_finite:
            out.point(companion_name(key, ".not_finite"), float(self.not_finite), step)
        if self.counts:
            out.record("histogram", {"key": key, "step": step, "edges": self.edges, "counts": self.counts})

    def _of_counts(self, counts: object, edges: object) -> None:
        self.counts, self.edges = _numbers(counts), _numbers(edges)
        if not 1 <= len(self.counts) <= MAX_BINS or len(self.edges) != len(self.counts) + 1:
            raise UsageError(
                f"a histogram of {len(self.counts)} counts and {len(self.edges)} edges: "
                f"1 to {MAX_BINS} counts, and one edge more"
            )
        if any(not math.isfinite(edge) for edge in self.edges) or sorted(self.edges) != self.edges:
            raise UsageError("a histogram's edges are finite and ascend")

    def _of_samples(self, samples: object, bins: int) -> None:
        if not isinstance(bins, int) or not 1 <= bins <= MAX_BINS:
            raise UsageError(f"num_bins is {bins!r}: 1 to {MAX_BINS}")
        try:
            import numpy as np
        except ImportError:
            numbers = _numbers(samples)
            finite = [number for number in numbers if math.isfinite(number)]
            self._check(len(numbers), len(finite))
            if finite:
                self.edges = bin_edges(min(finite), max(finite), bins)
                self.counts = _count(finite, self.edges)
            return
        array = to_numpy(samples)
        if array.dtype.kind in "cmM":
            raise UsageError(f"a histogram of {array.dtype} samples: give numbers")
        array = array.astype(np.float64, copy=False).ravel()
        finite = array[np.isfinite(array)]
        self._check(array.size, finite.size)
        if finite.size:
            self.edges = bin_edges(float(finite.min()), float(finite.max()), bins)
            even = len(self.edges) == bins + 1 and math.isfinite(self.edges[-1] - self.edges[0])
            options = {"bins": bins, "range": (self.edges[0], self.edges[-1])} if even else {"bins": self.edges}
            self.counts = np.histogram(finite, **options)[0].astype(float).tolist()

    def _check(self, samples: int, finite: int) -> None:
        if not samples:
            raise UsageError("a histogram of no sample")
        self.not_finite = samples - finite


def to_numpy(value: Any) -> Any:
    """Return a numpy array of a list, array or tensor (of any framework, on any device). Raises what numpy raises."""
    import numpy as np

    for step in ("detach", "cpu"):
        if hasattr(value, step):
            value = getattr(value, step)()
    if hasattr(value, "numpy") and not isinstance(value, np.ndarray):
        try:
            value = value.numpy()
        except TypeError:
            value = value.float().numpy()  # numpy has no bfloat16
    return np.asarray(value)


def _numbers(values: object) -> list[float]:
    tolist = getattr(values, "tolist", None)
    return [float(value) for value in _flat(tolist() if callable(tolist) else values)]


def _flat(values: Any) -> list[Any]:
    if isinstance(values, (int, float)):
        return [values]
    return [leaf for value in values for leaf in (_flat(value) if isinstance(value, (list, tuple)) else [value])]


def bin_edges(low: float, high: float, bins: int) -> list[float]:
    """Return the ascending edges of at most `bins` bins of equal width from `low` to `high`, both finite.

    A single value gets bins of its own around it. No difference overflows, and no two edges are equal.
    """
    if low == high:
        low, high = low - 0.5, high + 0.5
        if low == high:  # the value is so large that adding a half does not change it
            low, high = math.nextafter(low, -math.inf), math.nextafter(high, math.inf)
    edges = [place * ((high - low) / bins) + low for place in range(bins + 1)]
    if not math.isfinite(high - low):
        edges = [low * (1 - place / bins) + high * (place / bins) for place in range(bins + 1)]
    edges[-1] = high
    return list(dict.fromkeys(edges))


def _count(finite: Sequence[float], edges: Sequence[float]) -> list[float]:
    """Count the samples in each bin as numpy.histogram does, without numpy. The last bin includes its upper edge."""
    counts = [0.0] * (len(edges) - 1)
    for sample in finite:
        counts[min(bisect_right(edges, sample) - 1, len(counts) - 1)] += 1
    return counts
