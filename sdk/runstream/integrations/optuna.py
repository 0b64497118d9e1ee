"""Optuna: log a study's trials as runs, without any storage of Optuna's.

    callback = RunstreamCallback(project="digits")
    study.optimize(callback.track(objective), n_trials=50, callbacks=[callback])
    callback.top(study, 5)

Each trial is a run of the study's group: its parameters are the config, its intermediate values are the curve
`intermediate_value`, and its value is in the summary. Pruned and failed trials are runs as well, with their state in
the summary.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import runstream
from runstream.errors import UsageError
from runstream.integrations.run_in_use import missing

try:
    import optuna
    from optuna.trial import FrozenTrial, Trial, TrialState
except ImportError as error:
    raise missing("Optuna", "optuna") from error

if TYPE_CHECKING:
    from runstream.runs.run import Run


_Key = tuple[str, int]
_Value = TypeVar("_Value")


class RunstreamCallback:
    """A callback for `study.optimize(..., callbacks=[RunstreamCallback(project=...)])`.

    `metric_name`: the name of the value, or one name for each objective (default: `value`, or `value_0`, `value_1`,
    ...). `as_multirun`: True (default) makes a run for each trial, in the group of the study's name; False makes one
    run for the whole study, whose steps are the trials, as W&B's callback does by default. Other arguments are
    `init()`'s. With `n_jobs` above 1 nothing is lost: trials that run at once have runs of their own. Raises UsageError
    when the names do not fit.
    """

    def __init__(
        self,
        metric_name: str | Sequence[str] = "value",
        wandb_kwargs: Mapping[str, Any] | None = None,
        as_multirun: bool = True,
        **init: Any,
    ) -> None:
        if not isinstance(metric_name, (str, Sequence)):
            raise UsageError(f"metric_name is {metric_name!r}: give a name, or one an objective")
        self._names = metric_name
        self._init = {**(wandb_kwargs or {}), **init}
        self._as_multirun = as_multirun
        self._whole: Run | None = None
        self._open: dict[_Key, Run] = {}
        self._live: set[_Key] = set()
        """The trials whose intermediate values are logged while they run."""
        self._failed: set[_Key] = set()

    def track(self, objective: Callable[[Trial], _Value]) -> Callable[[Trial], _Value]:
        """Return the objective with a run around each call.

        Values that the objective logs to `runstream.run` (with several jobs at once: to `callback.run(trial)`) and
        gives to `trial.report()` are seen while it runs. Without `track`, a trial's run is made when the trial has
        ended.
        """

        @functools.wraps(objective)
        def tracked(trial: Trial) -> _Value:
            run, report = self.run(trial), trial.report
            self._live.add((trial.study.study_name, trial.number))

            def report_and_log(value: float, step: int) -> None:
                report(value, step)
                run.log({"intermediate_value": value}, step=step)

            trial.report = report_and_log  # of this trial alone
            try:
                return objective(trial)
            except optuna.TrialPruned:
                raise
            except BaseException:  # Optuna may end the study because of it, and never call this callback
                if self._as_multirun:
                    run.config.update({**trial.params, "optuna.trial": trial.number}, allow_val_change=True)
                    self._end(trial.study, trial.number, TrialState.FAIL)
                raise

        return tracked

    def track_in_wandb(self) -> Callable[[Callable[[Trial], _Value]], Callable[[Trial], _Value]]:
        """Return `track`. W&B has this name, as a decorator: `@callback.track_in_wandb()`."""
        return self.track

    track_in_runstream = track_in_wandb

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Log a trial that has ended in any state; Optuna calls this."""
        key = (study.study_name, trial.number)
        if key in self._failed:
            return
        run = self._run_of(study, trial.number)
        values = self._values(study, trial)
        if self._whole is not None:
            numbers = {name: value for name, value in trial.params.items() if isinstance(value, (int, float))}
            run.log({**numbers, **values, "trial_state": trial.state.name.lower()}, step=trial.number)
            return
        run.config.update({**trial.params, **_facts(study, trial)}, allow_val_change=True)
        if key not in self._live:
            for step, value in sorted(trial.intermediate_values.items()):
                run.log({"intermediate_value": value}, step=step)
        if values:
            run.log(values, step=run.step)
        self._end(study, trial.number, trial.state)

    def run(self, trial: Trial) -> Run:
        """Return the run of a trial in progress; the run is made where there is none yet."""
        return self._run_of(trial.study, trial.number)

    def top(self, study: optuna.Study, k: int = 10, objective: int = 0) -> list[FrozenTrial]:
        """Return the study's best K trials by one of its objectives, best first; NaN sorts last.

        The server ranks their runs in the same way: `runstream.Api().rank(project, metric_name)`.
        """
        maximize = study.directions[objective] == optuna.study.StudyDirection.MAXIMIZE
        done = [
            trial for trial in study.get_trials(deepcopy=False) if trial.values and trial.state == TrialState.COMPLETE
        ]

        def place(trial: FrozenTrial) -> tuple[bool, float, int]:
            assert trial.values is not None
            value = float(trial.values[objective])
            return math.isnan(value), -value if maximize else value, trial.number

        return sorted(done, key=place)[:k]

    def finish(self) -> None:
        """Finish the runs that are open: the study's one run, and runs of trials that Optuna never ended."""
        for run in [*self._open.values(), *([self._whole] if self._whole is not None else [])]:
            if runstream.run is run:
                runstream.run = None
            run.finish()
        self._open, self._whole = {}, None

    def _run_of(self, study: optuna.Study, number: int) -> Run:
        if not self._as_multirun:
            if self._whole is None or self._whole.finished:
                self._whole = runstream.init(**{"name": study.study_name, "job_type": "study", **self._init})
                self._whole.config.update({"optuna.direction": _directions(study)})
            return self._whole
        key = (study.study_name, number)
        if key not in self._open:
            tags = (*self._init.get("tags", ()), study.study_name)
            options = {"name": f"trial-{number}", "group": study.study_name, "job_type": "trial", **self._init}
            # The console belongs to the whole program, not to one of its trials.
            options["settings"] = {"console": "off", **dict(options.get("settings") or {})}
            self._open[key] = runstream.init(**{**options, "tags": tags, "reinit": "create_new"})
        return self._open[key]

    def _end(self, study: optuna.Study, number: int, state: TrialState) -> None:
        key = (study.study_name, number)
        run = self._open.pop(key)
        self._live.discard(key)
        if state == TrialState.FAIL:
            self._failed.add(key)
        run.summary["optuna.state"] = state.name.lower()
        if runstream.run is run:
            runstream.run = None
        run.finish(exit_code=int(state == TrialState.FAIL))

    def _values(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, float]:
        values = list(trial.values or ())
        if not values and trial.state == TrialState.PRUNED and trial.intermediate_values and len(study.directions) == 1:
            values = [trial.intermediate_values[max(trial.intermediate_values)]]
        if not values:
            return {}
        if isinstance(self._names, str):
            names = [self._names] if len(values) == 1 else [f"{self._names}_{place}" for place in range(len(values))]
        else:
            names = list(self._names)
        if len(names) != len(values):
            raise UsageError(f"the study has {len(values)} objectives, and metric_name has {len(names)} names")
        return dict(zip(names, values, strict=True))


def _facts(study: optuna.Study, trial: FrozenTrial) -> dict[str, object]:
    return {
        "optuna.study": study.study_name,
        "optuna.trial": trial.number,
        "optuna.direction": _directions(study),
        "optuna.distributions": {name: repr(one) for name, one in trial.distributions.items()},
        **{f"optuna.user.{name}": value for name, value in trial.user_attrs.items()},
    }


def _directions(study: optuna.Study) -> list[str]:
    return [direction.name.lower() for direction in study.directions]
