"""Search by a Gaussian process: Matern 5/2, expected improvement, pending trials imputed.

The process (scikit-learn's) lives in the unit cube of the parameters' quantiles. Trials under way count as results with
the value that the model expects of them, so that agents that request trials at the same time get different ones.

The search is deterministic given the seed, the trial's number, and the order of results. The kernel's hyperparameters
are those fitted to the first m results from a fixed start, with m from a fixed schedule. So what is remembered between
suggestions can be lost and computed again without changing any suggestion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runstream_query.sweeps.distributions import Choice, Steps
from runstream_query.sweeps.limits import MODEL_TRIALS, PENDING_TRIALS
from runstream_query.sweeps.search import random_search
from runstream_query.sweeps.search.observations import Observations, Result
from runstream_query.sweeps.search_space import SearchSpace, digest

if TYPE_CHECKING:  # heavy to load: the functions that use them import them
    from sklearn.gaussian_process import GaussianProcessRegressor

Matrix = NDArray[np.float64]
_CANDIDATES = 1000
_NEIGHBOURS = 250
_ROUNDS = ((0.1, 4), (0.03, 2), (0.01, 2))
"""Per round: the radius in the unit cube, and around how many of the best places so far to search."""
_SPREAD = 5.0
"""The largest distance of a bad result from the median, in spreads (one spread: from the median to the best).

Results beyond it are cut to it: one loss that diverged must not make all others look equal.
"""
_ITERATIONS = 40


class Gaussian:
    """The model of one sweep. Only one thread at a time may use it."""

    def __init__(self, space: SearchSpace, seed: int, maximize: bool) -> None:
        self._space = space
        self._seed = seed
        self._sign = -1.0 if maximize else 1.0
        self._free = [parameter for parameter in space.parameters if parameter.free]
        self._fits: dict[int, Matrix] = {}
        """The fitted hyperparameters, by the number of results that they were fitted to."""

    @property
    def starts_with(self) -> int:
        """The number of results that the model needs; before that, trials are drawn at random."""
        return max(5, min(2 * len(self._free), 20))

    def suggest(self, number: int, history: Observations) -> dict[str, object] | None:
        """Return the configuration for a trial; None if no feasible one was found."""
        results = [result for result in history.results if self._fits_space(result.chosen)]
        usable = sum(result.usable for result in results)
        pending = [chosen for chosen in history.pending if self._fits_space(chosen)][-PENDING_TRIALS:]
        if usable < self.starts_with or not self._free:
            return next(random_search.draws(self._space, self._seed, number), None)
        model = self._model(results, pending)
        return self._best_place(model, number, results, pending)

    # The model

    def _model(self, results: Sequence[Result], pending: Sequence[Mapping[str, object]]) -> _Model:
        theta = self._theta(results)
        chosen = thinned(results, self._sign)
        points = self._features(self._units([result.chosen for result in chosen]))
        values = scores(chosen, self._sign)
        model = _Model(theta, points, values)
        best = float(model.mean(points).min())
        order = np.argsort(values, kind="stable")[:5]
        places = self._units([chosen[int(index)].chosen for index in order])
        if pending:
            under_way = self._features(self._units(pending))
            model = _Model(theta, np.vstack([points, under_way]), np.concatenate([values, model.mean(under_way)]))
        model.best, model.places = best, places
        return model

    def _theta(self, results: Sequence[Result]) -> Matrix:
        size = scheduled(len(results))
        if size not in self._fits:
            chosen = thinned(results[:size], self._sign)
            points = self._features(self._units([result.chosen for result in chosen]))
            self._fits = {size: fitted(points, scores(chosen, self._sign))}
        return self._fits[size]

    # The search for the best place

    def _best_place(
        self, model: _Model, number: int, results: Sequence[Result], pending: Sequence[Mapping[str, object]]
    ) -> dict[str, object] | None:
        # Trials of one number are suggested from different knowledge only after a lost race: the number is enough.
        random = np.random.default_rng([self._seed, number])
        cube = random.random((_CANDIDATES, len(self._free)))
        near = np.repeat(model.places, 50, axis=0)
        near = near + random.normal(0, 0.1, near.shape)
        units = np.clip(np.vstack([cube, near]), 0.0, 1.0)
        gains = model.log_gain(self._features(units))
        for radius, count in _ROUNDS:
            around = np.repeat(units[np.argsort(-gains, kind="stable")[:count]], _NEIGHBOURS // count, axis=0)
            moved = np.where(
                random.random(around.shape) < max(0.5, 1 / len(self._free)),
                around + random.normal(0, radius, around.shape),
                around,
            )
            moved = np.clip(moved, 0.0, 1.0)
            units = np.vstack([units, moved])
            gains = np.concatenate([gains, model.log_gain(self._features(moved))])
        return self._first_feasible(units[np.argsort(-gains, kind="stable")], results, pending, number)

    def _first_feasible(
        self, units: Matrix, results: Sequence[Result], pending: Sequence[Mapping[str, object]], number: int
    ) -> dict[str, object] | None:
        seen = set()
        if self._space.count is not None:
            seen = {digest(result.chosen) for result in results} | {digest(chosen) for chosen in pending}
        substitute = None
        for row in units:
            chosen = self._configuration(row)
            if self._space.violated(chosen) is None:
                if not seen or digest(chosen) not in seen:
                    return chosen
                substitute = substitute or chosen
        return substitute or next(random_search.draws(self._space, self._seed, number), None)

    # Between configurations and the cube

    def _fits_space(self, chosen: Mapping[str, object]) -> bool:
        return all(p.name in chosen and p.distribution.unit(chosen[p.name]) is not None for p in self._free)

    def _units(self, configurations: Sequence[Mapping[str, object]]) -> Matrix:
        return np.array(
            [[p.distribution.unit(chosen[p.name]) or 0.0 for p in self._free] for chosen in configurations], float
        ).reshape(len(configurations), len(self._free))

    def _configuration(self, row: Matrix) -> dict[str, object]:
        units = {parameter.name: float(u) for parameter, u in zip(self._free, row, strict=True)}
        return self._space.assemble(lambda parameter: parameter.distribution.at(units.get(parameter.name, 0.0)))

    def _features(self, units: Matrix) -> Matrix:
        """Return the features between which the kernel measures distances.

        Discrete values are taken at their middle, categories are one-hot.
        """
        columns: list[Matrix] = []
        for index, parameter in enumerate(self._free):
            law, u = parameter.distribution, units[:, index]
            if isinstance(law, Choice):
                places = np.fromiter((law.index(float(x)) for x in u), int, len(u))
                columns.append(
                    ((places + 0.5) / law.count)[:, None] if law.ordered else np.eye(law.count)[places] * (0.5**0.5)
                )
            elif isinstance(law, Steps):
                columns.append(((np.minimum(np.floor(u * law.count), law.count - 1) + 0.5) / law.count)[:, None])
            else:
                columns.append(u[:, None])
        return np.hstack(columns)


class _Model:
    """A fitted process over scaled values; `log_gain` is the logarithm of the expected improvement below `best`."""

    best: float
    places: Matrix

    def __init__(self, theta: Matrix, points: Matrix, values: Matrix) -> None:
        self._process = _process(points.shape[1], theta)
        self._process.fit(points, values)

    def mean(self, points: Matrix) -> Matrix:
        return np.asarray(self._process.predict(points), float)

    def log_gain(self, points: Matrix) -> Matrix:
        from scipy.special import erfcx

        mean, deviation = self._process.predict(points, return_std=True)
        deviation = np.maximum(deviation, 1e-9)
        z = np.clip((self.best - mean) / deviation, -1e3, 1e3)
        # log(phi(z) + z Phi(z)), accurate far out on both sides
        density = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
        ratio = np.sqrt(np.pi / 2) * erfcx(-np.minimum(z, 5.0) / np.sqrt(2))
        low = density + np.log1p(np.maximum(np.minimum(z, 5.0) * ratio, -1 + 1e-12))
        return np.asarray(np.where(z < 5, low, np.log(np.maximum(z, 1.0))) + np.log(deviation), float)


def scheduled(results: int) -> int:
    """Return the largest number of the schedule that is not above `results`.

    The schedule is 5, 7, 9, ...; from 12 on each number is a fifth larger than the one before.
    """
    size = 5
    while (larger := max(size + 2, size * 6 // 5)) <= results:
        size = larger
    return min(size, results)


def thinned(results: Sequence[Result], sign: float) -> list[Result]:
    """Return at most MODEL_TRIALS results in their order: the best make half of them, the newest others the rest."""
    if len(results) <= MODEL_TRIALS:
        return list(results)
    rank = np.argsort(scores(results, sign), kind="stable")
    keep = {int(index) for index in rank[: MODEL_TRIALS // 2]}
    for index in range(len(results) - 1, -1, -1):
        if len(keep) == MODEL_TRIALS:
            break
        keep.add(index)
    return [results[index] for index in sorted(keep)]


def scores(results: Sequence[Result], sign: float) -> Matrix:
    """Return the values to minimise, with mean 0 and deviation 1.

    A failed trial, or a value that is not finite, is as bad as the worst.
    """
    values = np.array([sign * result.values[0] if result.usable else np.nan for result in results], float)
    finite = values[np.isfinite(values)]
    middle, best = float(np.median(finite)), float(finite.min())
    limit = middle + _SPREAD * max(middle - best, 1e-12 * max(abs(middle), 1.0))
    values = np.minimum(values, limit)
    values[~np.isfinite(values)] = min(float(finite.max()), limit)
    deviation = float(values.std())
    return np.asarray((values - values.mean()) / (deviation if deviation > 0 else 1.0), float)


def _process(dimensions: int, theta: Matrix | None = None) -> GaussianProcessRegressor:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern(np.full(dimensions, 0.4), (0.03, 8.0), nu=2.5) + WhiteKernel(
        1e-3, (1e-6, 1.0)
    )
    if theta is not None:
        kernel.theta = theta
    return GaussianProcessRegressor(kernel, alpha=1e-9, optimizer=None, copy_X_train=False)


def fitted(points: Matrix, values: Matrix) -> Matrix:
    """Return the hyperparameters of the largest marginal likelihood, found from a fixed start in bounded time."""
    from scipy.optimize import minimize

    process = _process(points.shape[1])
    process.fit(points, values)

    def loss(theta: Matrix) -> tuple[float, Matrix]:
        likelihood, gradient = process.log_marginal_likelihood(theta, eval_gradient=True, clone_kernel=False)
        return -likelihood, -gradient

    kernel = process.kernel_
    start, bounds = kernel.theta.copy(), kernel.bounds.copy()
    found = minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": _ITERATIONS, "maxfun": 60}
    )
    return np.asarray(np.clip(found.x, bounds[:, 0], bounds[:, 1]), float)
