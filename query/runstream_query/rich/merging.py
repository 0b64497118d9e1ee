"""Histograms of any edges into one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_NEAR_OVERFLOW = 1e300


@dataclass(frozen=True, slots=True)
class Binned:
    """`edges`: (N+1,), ascending; `counts`: (N,). Bins may have no width: all of their samples are one number."""

    edges: Floats
    counts: Floats
    exact: bool = True
    """These are the logged bins, or sums of them: nothing was spread over other edges."""


def usable(edges: Floats, counts: Floats) -> bool:
    """Can it be merged: finite, ascending, one edge more than counts."""
    return bool(
        len(counts) >= 1
        and len(edges) == len(counts) + 1
        and (edges[1:] >= edges[:-1]).all()  # which NaN is not, and between finite ends all are finite
        and np.isfinite(edges[0])
        and np.isfinite(edges[-1])
        and np.isfinite(counts).all()
    )


def merge(histograms: Sequence[Binned], bins: int) -> Binned:
    """The sum of at least one usable histogram, in at most `bins` bins; the sum of all counts is conserved.

    Where all have the same edges, and no more than asked, their counts are added. Else each is spread over common
    edges: all edges there are, or where these are too many, `bins` of equal width from the lowest to the highest.
    """
    same: dict[bytes, Binned] = {}
    for histogram in histograms:
        name = histogram.edges.tobytes()
        known = same.get(name)
        same[name] = Binned(histogram.edges, histogram.counts + known.counts if known else histogram.counts)
    groups = list(same.values())
    if len(groups) == 1 and len(groups[0].counts) <= bins:
        return groups[0]
    target = _common_edges(groups, bins)
    counts = np.zeros(len(target) - 1)
    for group in groups:
        counts += spread(group, target)
    return Binned(target, counts, exact=False)


def spread(histogram: Binned, target: Floats) -> Floats:
    """The counts of a histogram over other edges that span at least its own, as if the samples of a bin lay evenly in
    it; a bin of no width goes whole to one bin."""
    edges, counts = histogram.edges, histogram.counts
    if max(abs(target[0]), abs(target[-1])) > _NEAR_OVERFLOW:
        edges, target = edges / 4, target / 4  # differences of the largest doubles are no doubles
    points = np.diff(edges) == 0
    below = np.concatenate(([0.0], np.cumsum(np.where(points, 0.0, counts))))
    result = np.diff(np.interp(target, edges, below))
    if points.any():
        places = np.searchsorted(target, edges[:-1][points], side="right") - 1
        np.add.at(result, np.clip(places, 0, len(result) - 1), counts[points])
    return result


def _common_edges(groups: Sequence[Binned], bins: int) -> Floats:
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
