"""Keras, trained for real on its JAX back end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.integrations.conftest import needed
from tests.support.long import long

SCRIPT = """
import json, os
os.environ["KERAS_BACKEND"] = "jax"
import numpy as np, keras, runstream
from runstream.integrations.keras import RunstreamCallback
keras.utils.set_random_seed(0)
inputs = np.random.default_rng(0).normal(size=(96, 4)).astype("float32")
truth = (inputs[:, :1] > 0).astype("float32")
model = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1, activation="sigmoid")])
model.compile(optimizer=keras.optimizers.SGD(0.1), loss="binary_crossentropy", metrics=["accuracy"])
run = runstream.init(project="keras")
history = model.fit(inputs, truth, epochs=3, batch_size=32, validation_split=0.34, verbose=0,
                    callbacks=[RunstreamCallback(log_freq=2)])
run.finish()
print(json.dumps({"dir": run.spool_dir, "loss": history.history["loss"], "val": history.history["val_accuracy"]}))
"""


@long
def test_keras_logs_epochs_and_batches(logged: Any) -> None:
    needed("keras")
    needed("jax")
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    found = logged(type("Run", (), {"spool_dir": told["dir"]}))
    assert [value for _, value in found.series("epoch/loss")] == pytest.approx(told["loss"])
    assert [value for _, value in found.series("epoch/val_accuracy")] == pytest.approx(told["val"])
    assert [value for _, value in found.series("epoch/epoch")] == [0, 1, 2]
    assert [value for _, value in found.series("batch/batch_step")] == [0, 2, 4]
    assert [value for _, value in found.series("epoch/learning_rate")] == pytest.approx([0.1] * 3)
    assert found.config()["keras.optimizer"] == "SGD"
    definitions = {record["name"]: record["step_metric"] for record in found.records("definition")}
    assert definitions == {"epoch/*": "epoch/epoch", "batch/*": "batch/batch_step"}
