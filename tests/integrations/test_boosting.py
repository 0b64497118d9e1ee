"""XGBoost and LightGBM, trained for real."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import runstream
from tests.integrations.conftest import needed


def data(seed: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(300, 4))
    return inputs, (inputs[:, 0] + 0.5 * inputs[:, 1] > 0).astype(int)


def test_xgboost_logs_every_round_its_configuration_and_importance(logged: Any) -> None:
    needed("xgboost")
    import xgboost

    from runstream.integrations.xgboost import RunstreamCallback

    run = runstream.init(project="boosting")
    train, valid = xgboost.DMatrix(*_named(0)), xgboost.DMatrix(*_named(1))
    history: dict[str, Any] = {}
    parameters = {"objective": "binary:logistic", "eval_metric": ["logloss", "error"], "max_depth": 2}
    xgboost.train(
        parameters, train, 12, evals=[(train, "train"), (valid, "valid")], evals_result=history, verbose_eval=False,
        callbacks=[RunstreamCallback()], early_stopping_rounds=50,
    )  # fmt: skip
    assert not run.finished, "a run that was there before is not the callback's to end"
    run.finish()
    found = logged(run)
    assert found.metrics() >= {"train-logloss", "valid-logloss", "train-error", "valid-error"}
    assert [value for _, value in found.series("valid-logloss")] == history["valid"]["logloss"]
    assert [step for step, _ in found.series("train-error")] == list(range(12))
    assert any(key.startswith("xgboost.") for key in found.config())
    (table,) = found.records("table")
    assert table["key"] == "Feature Importance"


def _named(seed: int) -> tuple[Any, Any]:
    return data(seed)


def test_xgboost_starts_and_ends_a_run_of_its_own(logged: Any) -> None:
    needed("xgboost")
    import xgboost

    from runstream.integrations.xgboost import RunstreamCallback

    inputs, labels = data(2)
    callback = RunstreamCallback(project="own", log_feature_importance=False)
    model = xgboost.XGBClassifier(n_estimators=5, callbacks=[callback])
    model.fit(inputs, labels, eval_set=[(inputs, labels)], verbose=False)
    assert runstream.run is None


def test_lightgbm_logs_every_round_and_its_parameters(logged: Any) -> None:
    needed("lightgbm")
    import lightgbm

    from runstream.integrations.lightgbm import log_summary, runstream_callback

    run = runstream.init(project="boosting")
    train = lightgbm.Dataset(*data(0))
    valid = lightgbm.Dataset(*data(1), reference=train)
    history: dict[str, Any] = {}
    booster = lightgbm.train(
        {"objective": "binary", "metric": ["auc", "binary_logloss"], "verbose": -1, "num_leaves": 7},
        train, 15, valid_sets=[valid], valid_names=["valid"],
        callbacks=[
            runstream_callback(), lightgbm.record_evaluation(history), lightgbm.early_stopping(20, verbose=False)
        ],
    )  # fmt: skip
    log_summary(booster)
    run.finish()
    found = logged(run)
    assert [value for _, value in found.series("valid_auc")] == pytest.approx(history["valid"]["auc"])
    assert len(found.series("valid_binary_logloss")) == 15
    assert found.config()["lightgbm.num_leaves"] == 7
    assert any(record["key"] == "best_iteration" for record in found.records("field"))
    assert found.records("table")[0]["key"] == "Feature Importance"


def test_lightgbm_cross_validation_logs_mean_and_deviation(logged: Any) -> None:
    needed("lightgbm")
    import lightgbm

    from runstream.integrations.lightgbm import runstream_callback

    run = runstream.init(project="boosting")
    lightgbm.cv(
        {"objective": "binary", "metric": "auc", "verbose": -1}, lightgbm.Dataset(*data(0)), 5, nfold=3,
        callbacks=[runstream_callback()],
    )  # fmt: skip
    run.finish()
    assert {metric for metric in logged(run).metrics() if metric.endswith("-stdv")}
