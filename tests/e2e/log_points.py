"""A training process for tests: logs points whose every value is known. RANK WORLD METRICS STEPS [RUN [rich]]"""

from __future__ import annotations

import math
import sys

import runstream


def value_of(metric: int, rank: int, step: int) -> float:
    """A double with all its bits in use; NaN and infinities now and then."""
    if step % 1009 == 7:
        return (math.nan, math.inf, -math.inf)[metric % 3]
    return math.sin(step * 0.01 + metric) * math.exp((step % 97) / 10 - rank)


def log_rich(run: runstream.Run) -> None:
    """One of each kind that is no scalar, at the step after the last."""
    table = runstream.Table(["x", "word"], [[number, f"word {number}"] for number in range(10)])
    matrix = runstream.plot.confusion_matrix(y_true=[0, 1, 1], preds=[0, 1, 0], class_names=["cat", "dog"])
    picture = runstream.Image([[0.0, 1.0], [1.0, 0.0]], caption="checks")
    histogram = runstream.Histogram(np_histogram=([1, 2, 3], [0, 1, 2, 3]))
    run.log({"table": table, "matrix": matrix, "picture": picture, "weights": histogram, "note": "a text"})
    run.alert("an alert", "of the test")


def main() -> None:
    rank, world, metrics, steps = (int(argument) for argument in sys.argv[1:5])
    run_id = sys.argv[5] if len(sys.argv) > 5 else "million-points"
    run = runstream.init(project="million", id=run_id, rank=rank, world_size=world)
    names = [f"group/metric-{metric:02d}" for metric in range(metrics)]
    for step in range(steps):
        run.log({name: value_of(metric, rank, step) for metric, name in enumerate(names)})
    if sys.argv[6:] == ["rich"]:
        log_rich(run)
    sys.exit(0 if run.finish(timeout=100) else 3)


if __name__ == "__main__":
    main()
