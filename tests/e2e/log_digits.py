"""A training process for the examples in docs/: LR [RANK WORLD]. Logs a run `lr-LR` of the project `digits`."""

from __future__ import annotations

import math
import random
import sys

import runstream

STEPS = 200


def main() -> None:
    rate = float(sys.argv[1])
    rank, world = (int(argument) for argument in sys.argv[2:4]) if len(sys.argv) > 2 else (0, 1)
    run = runstream.init(
        project="digits",
        id=f"lr-{rate:g}",
        config={"lr": rate, "batch": 32 if rate < 0.2 else 64, "model": {"hidden": 64, "kind": "mlp"}},
        tags=["demo", "digits"],
        group="small" if rate < 0.2 else "large",
        notes="for the examples",
        rank=rank,
        world_size=world,
    )
    generator = random.Random(f"{rate} {rank}")
    for step in range(STEPS):
        loss = math.exp(-step * rate / 20) + 0.02 * generator.random()
        run.log({"train/loss": loss, "train/step_s": 0.01 * (3 if rank == 3 else 1), "epoch": step / 50})
        if step % 50 == 49 and rank == 0:
            labels = [generator.randrange(3) for _ in range(60)]
            guesses = [label if generator.random() > loss / 2 else generator.randrange(3) for label in labels]
            run.log({"val/accuracy": 1 - loss / 2, "val/loss": loss * 1.1}, step=step)
            run.log(
                {
                    "weights": runstream.Histogram([generator.gauss(0, 1) for _ in range(1000)]),
                    "predictions": runstream.Table(
                        columns=["label", "guess", "sure"],
                        data=[[a, b, generator.random()] for a, b in zip(labels, guesses, strict=True)],
                    ),
                    "confusion": runstream.plot.confusion_matrix(
                        y_true=labels, preds=guesses, class_names=["zero", "one", "two"]
                    ),
                },
                step=step,
            )
            print(f"step {step}: loss {loss:.4f}")
    sys.exit(0 if run.finish(timeout=60) else 3)


if __name__ == "__main__":
    main()
