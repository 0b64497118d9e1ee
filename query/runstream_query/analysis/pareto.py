"""Finds the points that no other point dominates: Pareto fronts of several objectives, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 50_000
"""Points with three or more objectives: each is compared with the front, which may be most of the points."""
MAX_POINTS_OF_TWO = 200_000


def layers(costs: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the layer of each row, counted from 1; 0 for rows beyond `count` layers.

    `costs`: (points, objectives), lower is better, no NaN. A point dominates another when it is nowhere worse
    and somewhere better, so equal points share a layer.
    """
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
    distinct, places = np.unique(costs, axis=0, return_inverse=True)  # sorted: no row is dominated by a later one
    kept = _sweep(distinct[:, 1]) if costs.shape[1] == 2 else _sieve(distinct)
    return np.asarray(kept[places.reshape(-1)], dtype=np.bool_)


def _sweep(second: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows are on the front of two objectives: those below all rows before them.

    `second`: the second objective of rows that are sorted by the first.
    """
    lowest = np.minimum.accumulate(second)
    return np.concatenate(([True], second[1:] < lowest[:-1]))


def _sieve(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows are on the front; `rows` are distinct and in lexicographic order.

    A row joins the front when no row of the front is as good in every objective.
    """
    kept = np.zeros(len(rows), dtype=np.bool_)
    left = np.arange(len(rows))
    while len(left):
        first = left[0]
        kept[first] = True
        dominated: Any = (rows[left] >= rows[first]).all(axis=1)
        left = left[~dominated]
    return kept
