"""A sweep over the digits network: 24 random trials; bad ones are stopped early. Each process of this is an agent.

python examples/sweep_digits.py                 # make the sweep, and work on it
python examples/sweep_digits.py SWEEP           # help: start as many as you like, on any machine
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from digits import Network
from sklearn.datasets import load_digits

import runstream

CONFIG = {
    "name": "digits",
    "method": "random",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "parameters": {
        "lr": {"distribution": "log_uniform_values", "min": 0.003, "max": 3.0},
        "momentum": {"min": 0.0, "max": 0.95},
        "batch": {"values": [16, 32, 64]},
    },
    "early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 3},
    "run_cap": 24,
    "seed": 1,
}
EPOCHS = 32
EPOCH_S = 0.04
"""A pause in each epoch: otherwise trials would end before early stopping could judge them."""


def train() -> None:
    """Run one trial with the parameters that the agent gives to `init()`."""
    run = runstream.init()
    lr, momentum, batch = run.config.lr, run.config.momentum, run.config.batch
    digits: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images, labels = digits.data[order] / 16.0, digits.target[order]
    network = Network(0)
    velocity = np.zeros_like(network.parameters)
    for epoch in range(EPOCHS):
        for chosen in np.split(np.random.default_rng(epoch).permutation(1400), range(batch, 1400, batch)):
            loss, gradient = network.loss_and_gradient(images[chosen], labels[chosen])
            velocity = momentum * velocity - lr * gradient
            network.parameters += velocity
        time.sleep(EPOCH_S)
        run.log({"train/loss": loss, "val/accuracy": network.accuracy(images[1400:], labels[1400:])})
    run.finish()


def main() -> None:
    sweep = sys.argv[1] if len(sys.argv) > 1 else runstream.sweep(CONFIG, project="digits")
    with np.errstate(all="ignore"):  # learning rates that are too large overflow, as a search must expect
        runstream.agent(sweep, train)


if __name__ == "__main__":
    main()
