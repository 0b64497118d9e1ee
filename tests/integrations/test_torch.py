"""PyTorch itself: tensors as values, `watch()`. With whatever Python here has torch (Debian's, if this one has not)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.conftest import ROOT, torch_interpreter

SCRIPT = """
import json, sys
import torch, runstream
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = runstream.init(project="torch")
run.watch(model, log="all", log_freq=2)
gradients = []
for step in range(5):
    loss = (model(torch.randn(16, 4)) ** 2).mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    gradients.append(float(model[0].weight.grad.sum()))
    run.log({"loss": loss, "half": loss.detach().to(torch.bfloat16), "count": torch.tensor(step),
             "flag": torch.tensor(True), "image": runstream.Image(torch.rand(3, 5, 7)), "many": torch.zeros(3)})
run.unwatch()
(model(torch.randn(16, 4)) ** 2).mean().backward()
run.log({"histogram": runstream.Histogram(torch.arange(10.0))})
from runstream.capture.model_watcher import tensor_histogram
nan, inf = float("nan"), float("inf")
run.log({"partly": tensor_histogram(torch.tensor([1.0, 2.0, nan, inf])),
         "nothing": tensor_histogram(torch.full((4,), nan)),
         "wide": tensor_histogram(torch.tensor([-1e300, 1e300], dtype=torch.float64))})
run.watch(object())
run.finish()
print(json.dumps({"dir": run.spool_dir}))
"""


@pytest.fixture
def told() -> dict[str, Any]:
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("sdk", "proto"))
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        [torch_interpreter(), "-W", "ignore", "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_tensors_are_values_and_watched_models_log_histograms(told: dict[str, Any], logged: Any) -> None:
    found = logged(type("Run", (), {"spool_dir": told["dir"]}))
    assert len(found.series("loss")) == 5 and found.series("count") == [(step, float(step)) for step in range(5)]
    assert {value for _, value in found.series("flag")} == {1.0}
    histograms = [(record["key"], record["step"]) for record in found.records("histogram")]
    names = ["0.weight", "0.bias", "2.weight", "2.bias"]
    watched = {(f"{kind}/{name}", step) for kind in ("gradients", "parameters") for name in names for step in (0, 2, 4)}
    others = {("histogram", 5), ("partly", 6), ("wide", 6)}
    assert set(histograms) == watched | others | {("many", step) for step in range(5)}
    assert found.series("partly.not_finite") == [(6, 2.0)] and found.series("nothing.not_finite") == [(6, 4.0)]
    (weights,) = [r for r in found.records("histogram") if r["key"] == "gradients/0.weight" and r["step"] == 0]
    assert sum(weights["counts"]) == 32 and len(weights["edges"]) == 65
    images = found.records("media")
    if images:  # where that Python has Pillow
        assert json.loads(images[0]["metadata_json"]) == {"width": 7, "height": 5}
    assert Path(told["dir"]).exists()
