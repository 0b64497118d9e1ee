"""Which points no other beats: fronts of several objectives, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 50_000
"""With three objectives and more: each point is compared with the front, which may be most of the points."""
MAX_POINTS_OF_TWO = 200_000


def layers(costs: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The layer of each row, from 1; 0 for those beyond `count` layers. `costs`: points x objectives, lower is better,
    no NaN. A point beats another when it is nowhere worse and somewhere better: equal points share a layer."""
    found = np.zeros(len(costs), dtype=np.int64)
    left = np.arange(len(costs))
    for layer in range(1, count + 1):
        if not len(left):
            break
        front = _front(costs[left])
        found[left[front]] = layer
        left = left[~front]
    return found


def _front(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    distinct, places = np.unique(costs, axis=0, return_inverse=True)  # sorted: nobody is beaten by a later one
    kept = _sweep(distinct[:, 1]) if costs.shape[1] == 2 else _sieve(distinct)
    return np.asarray(kept[places.reshape(-1)], dtype=np.bool_)


def _sweep(second: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Of two objectives, the rows sorted by the first: whoever is better in the second than all before."""
    lowest = np.minimum.accumulate(second)
    return np.concatenate(([True], second[1:] < lowest[:-1]))


def _sieve(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Distinct rows in lexicographic order: one joins the front when none of the front is as good everywhere."""
    kept = np.zeros(len(rows), dtype=np.bool_)
    left = np.arange(len(rows))
    while len(left):
        first = left[0]
        kept[first] = True
        beaten: Any = (rows[left] >= rows[first]).all(axis=1)
        left = left[~beaten]
    return kept
