"""Rows of points as they come, put into the order of their keys. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

_MAX_INT = (1 << 62) - 1


def arranged(columns: dict[str, Any]) -> dict[str, Any] | None:
    """Columns of `curve_rows.sql` by run, metric, rank and step; None: a key comes twice, and which of its rows
    survives must be asked."""
    if not len(columns["step"]):
        return columns
    keys = _keys(columns)
    # Stable: a merge of stretches that are sorted already.
    order = np.argsort(keys[0], kind="stable") if len(keys) == 1 else np.lexsort(keys[::-1])
    ordered = [key[order] for key in keys]
    same = np.ones(len(order) - 1, dtype=bool)
    for key in ordered:
        same &= key[1:] == key[:-1]
    if same.any():
        return None
    return {name: column[order] for name, column in columns.items()}


def _keys(columns: dict[str, Any]) -> list[Any]:
    """What to sort by, first things first: one number a row where it fits."""
    steps, ranks = columns["step"], columns["rank"].astype(np.int64)
    names = columns["run_number"].astype(np.int64) << 16 | columns["metric_number"]
    low, high, rank_count = int(steps.min()), int(steps.max()), int(ranks.max()) + 1
    if (int(names.max()) + 1) * rank_count * (high - low + 1) > _MAX_INT:
        return [names, ranks, steps]
    return [(names * rank_count + ranks) * (high - low + 1) + (steps - low)]
