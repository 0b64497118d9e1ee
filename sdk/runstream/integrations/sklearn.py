"""scikit-learn: log an estimator's parameters, its scores, and the usual plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from runstream.data import plots
from runstream.data.table import Table
from runstream.integrations.feature_importance import importance_plot
from runstream.integrations.run_in_use import RunHolder

if TYPE_CHECKING:
    from runstream.runs.run import Run


def log_estimator(estimator: Any, run: Run | None = None) -> None:
    """Put an estimator's parameters into the config as `NAME.PARAMETER`."""
    name = type(estimator).__name__
    found = {f"{name}.{key}": value for key, value in estimator.get_params(deep=True).items()}
    RunHolder(run).run.config.update(found, allow_val_change=True)


def log_classifier(
    estimator: Any,
    inputs: object,
    truth: Iterable[Any],
    labels: Sequence[str] | None = None,
    prefix: str = "",
    run: Run | None = None,
) -> dict[str, float]:
    """Evaluate a fitted classifier on `inputs` (samples, features) and `truth` (samples,), and return the scores.

    Accuracy and weighted precision, recall and F1 are logged. The confusion matrix, and with probabilities the PR and
    ROC curves, are logged as plots.
    """
    from sklearn import metrics

    target = RunHolder(run).run
    guesses = estimator.predict(inputs)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, guesses, average="weighted", zero_division=0.0
    )
    scores = {
        f"{prefix}accuracy": float(metrics.accuracy_score(truth, guesses)),
        f"{prefix}precision": float(precision),
        f"{prefix}recall": float(recall),
        f"{prefix}f1": float(f1),
    }
    classes = list(estimator.classes_)
    names = [str(name) for name in (labels if labels is not None else classes)]
    places = {label: place for place, label in enumerate(classes)}
    true_places = [places[label] for label in truth]
    shown: dict[str, object] = {
        f"{prefix}confusion_matrix": plots.confusion_matrix(
            y_true=true_places, preds=[places[label] for label in guesses], class_names=names
        )
    }
    if hasattr(estimator, "predict_proba"):
        import numpy as np

        probabilities = estimator.predict_proba(inputs)
        shown[f"{prefix}pr_curve"] = plots.pr_curve(np.asarray(true_places), probabilities, labels=names)
        shown[f"{prefix}roc_curve"] = plots.roc_curve(np.asarray(true_places), probabilities, labels=names)
    target.log({**scores, **shown})
    return scores


def log_regressor(
    estimator: Any, inputs: object, truth: Iterable[Any], prefix: str = "", run: Run | None = None
) -> dict[str, float]:
    """Evaluate a fitted regressor, and return the scores: MAE, MSE and R² are logged, and the residuals as a plot."""
    from sklearn import metrics

    target = RunHolder(run).run
    guesses = estimator.predict(inputs)
    scores = {
        f"{prefix}mae": float(metrics.mean_absolute_error(truth, guesses)),
        f"{prefix}mse": float(metrics.mean_squared_error(truth, guesses)),
        f"{prefix}r2": float(metrics.r2_score(truth, guesses)),
    }
    rows = [[float(guess), float(true - guess)] for guess, true in zip(guesses, truth, strict=True)]
    residuals = plots.scatter(Table(["Predicted", "Residual"], rows), "Predicted", "Residual", title="Residuals")
    target.log({**scores, f"{prefix}residuals": residuals})
    return scores


def log_feature_importances(
    estimator: Any, names: Sequence[str] | None = None, prefix: str = "", run: Run | None = None
) -> None:
    """Log a fitted estimator's feature importances, or its coefficients' size, as a plot of the largest."""
    found = getattr(estimator, "feature_importances_", None)
    if found is None:
        found = abs(estimator.coef_).reshape(-1, estimator.coef_.shape[-1]).mean(axis=0)
    names = [f"feature {place}" for place in range(len(found))] if names is None else list(names)
    plot = importance_plot(zip(names, found, strict=True))
    RunHolder(run).run.log({f"{prefix}feature_importance": plot})
