"""scikit-learn's helpers, on fitted estimators."""

from __future__ import annotations

from typing import Any

import pytest

import runstream
from tests.integrations.conftest import needed


def test_a_classifier_is_scored_and_drawn(logged: Any) -> None:
    needed("sklearn")
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import accuracy_score

    from runstream.integrations import sklearn as helpers

    inputs, truth = load_iris(return_X_y=True)
    model = RandomForestClassifier(n_estimators=7, max_depth=2, random_state=0).fit(inputs, truth)
    run = runstream.init(project="sklearn")
    helpers.log_estimator(model)
    scores = helpers.log_classifier(model, inputs, truth, labels=["setosa", "versicolor", "virginica"], prefix="train/")
    helpers.log_feature_importances(model, names=["a", "b", "c", "d"])
    run.finish()
    found = logged(run)
    assert scores["train/accuracy"] == accuracy_score(truth, model.predict(inputs))
    assert found.series("train/accuracy") == [(0, scores["train/accuracy"])]
    assert found.config()["RandomForestClassifier.max_depth"] == 2
    tables = {table["key"]: table for table in found.records("table")}
    assert set(tables) == {"train/confusion_matrix", "train/pr_curve", "train/roc_curve", "feature_importance"}
    assert tables["train/confusion_matrix"]["rows"] == 9


def test_a_regressor_is_scored_and_its_residuals_drawn(logged: Any) -> None:
    needed("sklearn")
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    from runstream.integrations import sklearn as helpers

    inputs, truth = load_diabetes(return_X_y=True)
    model = Ridge().fit(inputs, truth)
    run = runstream.init(project="sklearn")
    scores = helpers.log_regressor(model, inputs, truth)
    helpers.log_feature_importances(model)
    run.finish()
    assert scores["r2"] == pytest.approx(model.score(inputs, truth))
    assert {table["key"] for table in logged(run).records("table")} == {"residuals", "feature_importance"}
