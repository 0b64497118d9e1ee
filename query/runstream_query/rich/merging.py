"""Merge histograms with any edges into one. It is pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_NEAR_OVERFLOW = 1e300


@dataclass(frozen=True, slots=True)
class MergedBins:
    """A histogram.

    `edges` are (N+1,) and ascending; `counts` are (N,). The samples of a bin without width are all one number.
    """

    edges: Floats
    counts: Floats
    exact: bool = True
    """Whether the bins are those that were logged, or sums of them: nothing was spread over other edges."""


def usable(edges: Floats, counts: Floats) -> bool:
    """Return whether the histogram can be merged: it is finite and ascending, and has one edge more than counts."""
    return bool(
        len(counts) >= 1
        and len(edges) == len(counts) + 1
        and (edges[1:] >= edges[:-1]).all()  # NaN fails this; with finite ends all edges are finite
        and np.isfinite(edges[0])
        and np.isfinite(edges[-1])
        and np.isfinite(counts).all()
    )


def merge(histograms: Sequence[MergedBins], bins: int) -> MergedBins:
    """Return the sum of at least one usable histogram in at most `bins` bins; the sum of all counts is conserved.

    If all have the same edges, and at most `bins` bins, their counts are added. Otherwise each is spread over common
    edges: the union of all edges, or if it is too large, `bins` bins of equal width from the lowest to the highest
    edge.
    """
    same: dict[bytes, MergedBins] = {}
    for histogram in histograms:
        name = histogram.edges.tobytes()
        known = same.get(name)
        same[name] = MergedBins(histogram.edges, histogram.counts + known.counts if known else histogram.counts)
    groups = list(same.values())
    if len(groups) == 1 and len(groups[0].counts) <= bins:
        return groups[0]
    target = _common_edges(groups, bins)
    counts = np.zeros(len(target) - 1)
    for group in groups:
        counts += spread(group, target)
    return MergedBins(target, counts, exact=False)


def spread(histogram: MergedBins, target: Floats) -> Floats:
    """Return the counts of a histogram over other edges, which must span at least its own.

    The samples of a bin are taken to lie evenly in it; a bin without width goes whole into one bin.
    """
    edges, counts = histogram.edges, histogram.counts
    if max(abs(target[0]), abs(target[-1])) > _NEAR_OVERFLOW:
        edges, target = edges / 4, target / 4  # differences of the largest doubles overflow
    points = np.diff(edges) == 0
    below = np.concatenate(([0.0], np.cumsum(np.where(points, 0.0, counts))))
    result = np.diff(np.interp(target, edges, below))
    if points.any():
        places = np.searchsorted(target, edges[:-1][points], side="right") - 1
        np.add.at(result, np.clip(places, 0, len(result) - 1), counts[points])
    return result


def _common_edges(groups: Sequence[MergedBins], bins: int) -> Floats:
    low = min(group.edges[0] for group in groups)
    high = max(group.edges[-1] for group in groups)
    if low == high:
        return np.array([low, high])
    union = np.unique(np.concatenate([group.edges for group in groups]))
    if len(union) - 1 <= bins:
        return union
    edges = np.linspace(low / 4, high / 4, bins + 1) * 4
    edges[0], edges[-1] = low, high
    return np.maximum.accumulate(edges)
