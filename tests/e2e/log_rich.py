"""A training process for tests that logs what is no scalar: RANK FOLDER. Every value follows from rank and step."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import runstream

STEPS = 12


def histogram(rank: int, step: int) -> tuple[list[int], list[float]]:
    """Counts and edges; the edges of odd steps differ from those of even ones."""
    counts = [(step * 7 + rank * 3 + place) % 11 for place in range(8)]
    return counts, [(place - 4) * (1.0 + step % 2) for place in range(9)]


def small_table(step: int) -> list[list[object]]:
    values = [7, 3.5, None, float("nan"), -2, float("inf")]
    return [[number, f"Row {number}", values[(number + step) % 6]] for number in range(20)]


def main() -> None:
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    run = runstream.init(project="rich", id="rich", rank=rank, world_size=2)
    for step in range(STEPS):
        values: dict[str, object] = {
            "weights": runstream.Histogram(np_histogram=histogram(rank, step)),
            "note": f"rank {rank} step {step}",
        }
        if rank == 0 and step % 4 == 0:
            boxes = {"guess": {"box_data": [{"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 1}]}}
            masks = {"truth": {"mask_data": np.ones((4, 6), np.uint8), "class_labels": {1: "cat"}}}
            pixels = np.full((4, 6, 3), 20 * step, np.uint8)
            values["val/picture"] = runstream.Image(pixels, caption=f"step {step}", boxes=boxes, masks=masks)
            values["val/small"] = runstream.Table(["n", "word", "value"], small_table(step))
            values["line"] = runstream.plot.line_series([0, 1, 2], [[step, 1, 2], [3, 4, 5]], keys=["a", "b"])
        run.log(values, step=step)
    if rank == 0:
        letters = "abcdefghij" * 3
        wide = [[number, letters, number % 7, [number, "x"]] for number in range(30_000)]
        run.log({"big": runstream.Table(["n", "word", "rest", "list"], wide)}, step=STEPS)
        truth = [number % 3 for number in range(60)]
        scores = np.array([[1.0 if t == c else (n + c) % 5 / 5 for c in range(3)] for n, t in enumerate(truth)])
        run.log(
            {
                "matrix": runstream.plot.confusion_matrix(y_true=truth, probs=scores, class_names=["a", "b", "c"]),
                "pr": runstream.plot.pr_curve(truth, scores, labels=["a", "b", "c"]),
                "roc": runstream.plot.roc_curve(truth, scores, labels=["a", "b", "c"]),
            },
            step=STEPS,
        )
        (folder / "kept.txt").write_text("kept")
        run.save(str(folder / "kept.txt"))
        run.alert("too warm", "70 degrees", level="WARN")
    for number in range(50):
        print(f"\x1b[3{rank + 1}mrank {rank} line {number}\x1b[0m", flush=True)
    print(f"trouble on RANK {rank}", file=sys.stderr, flush=True)
    sys.exit(0 if run.finish(timeout=60) else 3)


if __name__ == "__main__":
    main()
