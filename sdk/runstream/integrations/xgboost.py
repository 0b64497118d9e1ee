"""XGBoost: `xgboost.train(..., callbacks=[RunstreamCallback()])`, or the scikit-learn estimators' `callbacks`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runstream.integrations.feature_importance import importance_plot
from runstream.integrations.run_in_use import RunHolder, missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xgboost import Booster

    from runstream.runs.run import Run

try:
    from xgboost.callback import TrainingCallback
except ImportError as error:
    raise missing("XGBoost", "xgboost") from error


class RunstreamCallback(TrainingCallback):  # type: ignore[misc]  # XGBoost's types are partial
    """Logs each evaluation as `SET-METRIC` by boosting round, the configuration, and feature importance as a plot."""

    def __init__(
        self, log_feature_importance: bool = True, importance_type: str = "gain", run: Run | None = None, **init: object
    ):
        self._holder = RunHolder(run, **init)
        self._importance = log_feature_importance
        self._importance_type = importance_type

    def before_training(self, model: Booster) -> Booster:
        try:
            learner = json.loads(model.save_config())["learner"]
            known = {f"xgboost.{name}": value for name, value in learner["learner_train_param"].items()}
            self._holder.run.config.update(known, allow_val_change=True)
        except (AttributeError, KeyError, ValueError):
            pass  # cross-validation passes several boosters, which have no configuration to read
        return model

    def after_iteration(self, model: Booster, epoch: int, evals_log: Mapping[str, Mapping[str, Sequence[Any]]]) -> bool:
        values: dict[str, float] = {}
        for data, metrics in evals_log.items():
            for metric, history in metrics.items():
                newest = history[-1]
                values[f"{data}-{metric}"] = newest[0] if isinstance(newest, tuple) else newest
        if values:
            self._holder.run.log(values, step=epoch)
        return self._holder.run.should_stop

    def after_training(self, model: Booster) -> Booster:
        run = self._holder.run
        for name in ("best_score", "best_iteration"):
            try:
                run.summary[name] = getattr(model, name)
            except AttributeError:
                continue  # without early stopping the attribute does not exist
        if self._importance and hasattr(model, "get_score"):
            scores = model.get_score(importance_type=self._importance_type)
            run.log({"Feature Importance": importance_plot(scores.items())})
        self._holder.finish()
        return model
