"""Data-parallel training of a small neural network on scikit-learn's bundled digits images.

Run by a launcher that sets RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun
does; alone it trains as a world of one. Every rank logs every step to one run: its own loss and gradient norm, and
the accuracies at the end of each epoch. Gradients are averaged over a socket, so that nothing but numpy is needed.

    python examples/digits.py --lr 0.2 --epochs 20
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np
from allreduce import Ring
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import runstream

Array = NDArray[np.float64]
BATCH = 16
HIDDEN = 48


class Network:
    """Two layers: 64 pixels, HIDDEN rectified units, 10 classes. Parameters lie in one vector, (P,) float64."""

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.shapes = [(64, HIDDEN), (HIDDEN,), (HIDDEN, 10), (10,)]
        parts = [
            generator.normal(0, np.sqrt(2 / shape[0]), shape) if len(shape) == 2 else np.zeros(shape)
            for shape in self.shapes
        ]
        self.parameters: Array = np.concatenate([part.ravel() for part in parts])

    def unpack(self, vector: Array) -> list[Array]:
        parts, start = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape))
            parts.append(vector[start : start + size].reshape(shape))
            start += size
        return parts

    def loss_and_gradient(self, images: Array, labels: NDArray[np.int64]) -> tuple[float, Array]:
        """Return the mean cross-entropy over (B, 64) images, and its gradient, (P,)."""
        w1, b1, w2, b2 = self.unpack(self.parameters)
        hidden = np.maximum(images @ w1 + b1, 0)
        logits = hidden @ w2 + b2
        logits -= logits.max(axis=1, keepdims=True)
        probabilities = np.exp(logits)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        loss = -float(np.mean(np.log(probabilities[rows, labels] + 1e-12)))
        probabilities[rows, labels] -= 1
        output = probabilities / len(labels)
        back = (output @ w2.T) * (hidden > 0)
        parts = [images.T @ back, back.sum(axis=0), hidden.T @ output, output.sum(axis=0)]
        return loss, np.concatenate([part.ravel() for part in parts])

    def accuracy(self, images: Array, labels: NDArray[np.int64]) -> float:
        w1, b1, w2, b2 = self.unpack(self.parameters)
        return float(np.mean((np.maximum(images @ w1 + b1, 0) @ w2 + b2).argmax(axis=1) == labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=0.2, help="learning rate")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--project", default="digits")
    arguments = parser.parse_args()
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))

    run = runstream.init(
        project=arguments.project,
        name=f"lr-{arguments.lr:g}",
        tags=["demo", "digits"],
        config={"lr": arguments.lr, "epochs": arguments.epochs, "batch": BATCH, "hidden": HIDDEN, "ranks": world},
    )
    digits: Any = load_digits()
    order = np.random.default_rng(arguments.seed).permutation(len(digits.target))
    images, labels = digits.data[order] / 16.0, digits.target[order]
    train_images, train_labels = images[:1400][rank::world], labels[:1400][rank::world]
    test_images, test_labels = images[1400:], labels[1400:]

    network = Network(arguments.seed)
    steps = len(train_labels) // BATCH
    with Ring(rank, world) as ring:
        for epoch in range(arguments.epochs):
            shuffled = np.random.default_rng(1000 * epoch + rank).permutation(len(train_labels))
            for step in range(steps):
                chosen = shuffled[step * BATCH : (step + 1) * BATCH]
                loss, gradient = network.loss_and_gradient(train_images[chosen], train_labels[chosen])
                mean_gradient = ring.mean(gradient)
                network.parameters -= arguments.lr * mean_gradient
                run.log({"train/loss": loss, "train/grad_norm": float(np.linalg.norm(gradient)), "epoch": epoch})
            run.log(
                {
                    "train/accuracy": network.accuracy(train_images, train_labels),
                    "val/accuracy": network.accuracy(test_images, test_labels),
                },
                step=run.step - 1,
            )
    run.finish()


if __name__ == "__main__":
    main()
