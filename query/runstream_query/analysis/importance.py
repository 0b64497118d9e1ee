"""Computes the importance of parameters: permutation importance of a random forest, and correlations.

All functions are pure. They take seconds of processor time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstream_proto.v1 import ranking_pb2 as pb
from runstream_query.analysis.parameter_columns import ParameterColumn

MAX_RUNS = 2000
MAX_PARAMETERS = 100
"""With MAX_RUNS, the forest takes some seconds of one core."""
MIN_RUNS = 4
_TREES = 100
_REPEATS = 5
_MAX_CATEGORIES = 32
"""Categories of a parameter that are columns of the forest; all rarer ones together count as one category."""


@dataclass(frozen=True, slots=True)
class ParameterImportance:
    column: ParameterColumn
    share: float
    std: float
    pearson: float | None
    spearman: float | None


def explain(
    columns: Sequence[ParameterColumn], target: NDArray[np.float64], seed: int
) -> tuple[list[ParameterImportance], float]:
    """Return the columns, most important first, and the out-of-bag R squared of the forest.

    `target`: one finite value a run. The forest learns from all runs. Each column is shuffled five times; the rise of
    the squared error, divided by the sum over all columns, is the share of the column. A missing number is a branch of
    the tree, a missing category is a category of its own.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    matrices = [_features(column) for column in columns]
    forest = RandomForestRegressor(
        n_estimators=_TREES, min_samples_leaf=2, max_features=0.5, oob_score=_r2, random_state=seed, n_jobs=1
    )
    model = _Grouped(forest, matrices)
    rows = np.arange(len(target), dtype=np.float64)
    places = np.repeat(rows[:, None], len(columns), axis=1)  # shuffling a column of row numbers shuffles its features
    model.fit(places, target)
    found = permutation_importance(
        model, places, target, scoring=_minus_squared_error, n_repeats=_REPEATS, random_state=seed, n_jobs=1
    )
    means = np.maximum(found.importances_mean, 0.0)
    total = float(means.sum()) or 1.0
    explained = [
        ParameterImportance(column, float(mean) / total, float(std) / total, *_correlations(column, target))
        for column, mean, std in zip(columns, means, found.importances_std, strict=True)
    ]
    explained.sort(key=lambda one: (-one.share, one.column.name))
    return explained, float(forest.oob_score_)


class _Grouped:
    """Estimates from columns of row numbers, one a parameter: the features of a parameter are shuffled together."""

    def __init__(self, forest: Any, matrices: Sequence[NDArray[np.float64]]) -> None:
        self._forest = forest
        self._matrices = matrices

    def fit(self, places: NDArray[np.float64], target: NDArray[np.float64]) -> _Grouped:
        self._forest.fit(self._features(places), target)
        return self

    def predict(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._forest.predict(self._features(places)), dtype=np.float64)

    def _features(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = places.astype(np.int64)
        return np.hstack([matrix[rows[:, index]] for index, matrix in enumerate(self._matrices)])


def _minus_squared_error(model: _Grouped, places: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    return -float(np.mean((model.predict(places) - target) ** 2))


def _features(column: ParameterColumn) -> NDArray[np.float64]:
    """Return the features of a column, (runs, features). A tree only compares, so a logarithm would change nothing."""
    if column.numeric:
        # The forest takes float32, so larger numbers are cut to the end of its range.
        return np.clip(column.values, -3e38, 3e38).reshape(-1, 1)
    codes = np.where(column.present, column.values, -1).astype(np.int64)
    names, counts = np.unique(codes, return_counts=True)
    common = names[np.argsort(-counts, kind="stable")][:_MAX_CATEGORIES]
    return np.asarray(codes[:, None] == common[None, :], dtype=np.float64)


def _r2(target: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    from sklearn.metrics import r2_score

    seen = np.isfinite(predicted)
    return float(r2_score(target[seen], predicted[seen])) if seen.sum() > 1 else math.nan


def _correlations(column: ParameterColumn, target: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return Pearson and Spearman over the runs that have a finite value; None where they are not defined."""
    if not column.numeric:
        return None, None
    values = column.values
    seen = np.isfinite(values)
    values, target = values[seen], target[seen]
    if len(values) < 3 or len(np.unique(values)) < 2 or len(np.unique(target)) < 2:
        return None, None
    from scipy.stats import rankdata

    straight = np.log(values) if column.kind == pb.AXIS_KIND_LOG else values
    return _pearson(straight, target), _pearson(rankdata(values), rankdata(target))


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    a, b = a / max(np.abs(a).max(), 1e-300), b / max(np.abs(b).max(), 1e-300)  # this way no square overflows
    a, b = a - a.mean(), b - b.mean()
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(np.clip(a @ b / length, -1.0, 1.0)) if length > 0 else None
