"""LightGBM: `lightgbm.train(..., callbacks=[runstream_callback()])`, and `log_summary(booster)` afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runstream.integrations.feature_importance import importance_plot
from runstream.integrations.run_in_use import RunHolder

if TYPE_CHECKING:
    import lightgbm
    from lightgbm.callback import CallbackEnv

    from runstream.runs.run import Run


def runstream_callback(
    log_params: bool = True, run: Run | None = None, **init: object
) -> Callable[[CallbackEnv], None]:
    """Return a callback that logs each evaluation as `SET_METRIC` by boosting round, and the parameters as config."""
    holder = RunHolder(run, **init)

    def callback(env: CallbackEnv) -> None:
        target = holder.run
        if log_params and env.iteration == env.begin_iteration:
            known = {f"lightgbm.{name}": value for name, value in env.params.items()}
            target.config.update(known, allow_val_change=True)
        values: dict[str, float] = {}
        for name, metric, value, *rest in env.evaluation_result_list or ():
            # Cross-validation gives ("cv_agg", "valid auc", mean, higher is better, deviation).
            key = f"{name}_{metric}".replace(" ", "_")
            values[key] = value
            if len(rest) > 1:
                values[f"{key}-stdv"] = rest[1]
        if values:
            target.log(values, step=env.iteration)

    callback.order = 20  # type: ignore[attr-defined]  # after LightGBM's own, as its documentation wants
    return callback


def log_summary(model: lightgbm.Booster, run: Run | None = None, feature_importance: bool = True) -> None:
    """Put the best iteration and score into the summary, and log feature importance as a plot."""
    target = RunHolder(run).run
    if getattr(model, "best_iteration", 0) > 0:
        target.summary["best_iteration"] = model.best_iteration
        for data, metrics in (model.best_score or {}).items():
            for metric, value in metrics.items():
                target.summary[f"best_score.{data}_{metric}"] = value
    if feature_importance:
        scores = zip(model.feature_name(), model.feature_importance(), strict=True)
        target.log({"Feature Importance": importance_plot(scores)})
