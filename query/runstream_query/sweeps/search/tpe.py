"""Search by tree-structured Parzen estimators (Optuna's), for conditions, categories and several objectives.

A study is made for each suggestion, from the results in their order; its sampler is seeded by (seed, trial). So nothing
is kept between suggestions, and a suggestion depends on nothing else. Numbers are given to the study as quantiles of
their distribution, choices as indices. Trials under way count as bad ones (constant liar), so that agents
that request trials at the same time get different ones.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runstream_query.sweeps.distributions import Choice
from runstream_query.sweeps.limits import PENDING_TRIALS, TPE_TRIALS
from runstream_query.sweeps.parameters import SearchParameter
from runstream_query.sweeps.search import random_search
from runstream_query.sweeps.search.observations import Observations
from runstream_query.sweeps.search_space import SearchSpace, digest

if TYPE_CHECKING:  # heavy to load: the functions that use them import them
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

_ATTEMPTS = 20
"""How many suggestions may break a constraint, or repeat an earlier one, before a random draw is taken."""
_STARTS_WITH = 10


class Tpe:
    def __init__(self, space: SearchSpace, seed: int, maximize: tuple[bool, ...]) -> None:
        """Make a search; `maximize` has one element an objective."""
        self._space = space
        self._seed = seed
        self._directions = ["maximize" if largest else "minimize" for largest in maximize]

    def suggest(self, number: int, history: Observations) -> dict[str, object] | None:
        """Return the configuration for a trial; None if no feasible one was found."""
        if sum(result.usable for result in history.results) < _STARTS_WITH:
            return next(random_search.draws(self._space, self._seed, number), None)
        study = self._study(history)
        seen = set()
        if self._space.count is not None:
            seen = {digest(result.chosen) for result in history.results}
            seen |= {digest(chosen) for chosen in history.pending}
        for attempt in range(_ATTEMPTS):
            study.sampler = self._sampler(number, attempt)
            trial = study.ask()
            chosen = self._space.assemble(lambda parameter, trial=trial: _suggested(trial, parameter))  # type: ignore[misc]
            if self._space.violated(chosen) is None and digest(chosen) not in seen:
                return chosen
            study.tell(trial, state=_state("FAIL"))
        return next(random_search.draws(self._space, self._seed, number), None)

    def _sampler(self, number: int, attempt: int) -> TPESampler:
        from optuna.samplers import TPESampler

        text = f"{self._seed}/{number}/{attempt}".encode()
        seed = int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # multivariate and group are called experimental
            return TPESampler(
                seed=seed,
                multivariate=True,
                group=self._space.conditional,
                constant_liar=True,
                n_startup_trials=0,
                warn_independent_sampling=False,
            )

    def _study(self, history: Observations) -> optuna.Study:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(directions=self._directions)
        for result in history.results[-TPE_TRIALS:]:
            state = "COMPLETE" if result.usable else "FAIL"
            self._add(study, result.chosen, state, list(result.values) if result.usable else None)
        for chosen in history.pending[-PENDING_TRIALS:]:
            self._add(study, chosen, "RUNNING", None)
        return study

    def _add(self, study: optuna.Study, chosen: Mapping[str, object], state: str, values: list[float] | None) -> None:
        import optuna

        parameters: dict[str, object] = {}
        laws: dict[str, BaseDistribution] = {}
        for parameter in self._space.parameters:
            if parameter.name in chosen and parameter.free:
                position = _position(parameter, chosen[parameter.name])
                if position is not None:
                    parameters[parameter.name], laws[parameter.name] = position, _law(parameter)
        trial = optuna.trial.create_trial(state=_state(state), params=parameters, distributions=laws, values=values)
        study.add_trial(trial)


def _state(name: str) -> TrialState:
    from optuna.trial import TrialState

    return TrialState[name]


def _law(parameter: SearchParameter) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    law = parameter.distribution
    return CategoricalDistribution(range(law.count)) if isinstance(law, Choice) else FloatDistribution(0.0, 1.0)


def _position(parameter: SearchParameter, value: object) -> int | float | None:
    """Return the index or quantile that stands for a value; None if it is no value of the parameter."""
    law = parameter.distribution
    place = law.unit(value)
    return law.index(place) if isinstance(law, Choice) and place is not None else place


def _suggested(trial: optuna.Trial, parameter: SearchParameter) -> object:
    law = parameter.distribution
    if not parameter.free:
        return law.value(0)
    if isinstance(law, Choice):
        return law.value(trial.suggest_categorical(parameter.name, range(law.count)))
    return law.at(trial.suggest_float(parameter.name, 0.0, 1.0))
