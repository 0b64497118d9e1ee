"""Training processes for the page's tests: `python -m tests.browser.train WHAT PROJECT [...]`."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import runstream

STEPS = 2000
SPIKE = (1234, 40.0)
"""Step and value of the one point in run 3 that no other is near."""
ENDLESS_S = 120.0


def finished(project: str, count: int) -> None:
    """`count` runs of different learning rates; run 3 has a spike, run 5 ends in NaN, the last one failed."""
    for number in range(count):
        chance = random.Random(number)
        lr = round(0.3 / (1 + number), 5)
        config = {
            "lr": lr,
            "optimizer": {"name": ("adamw", "sgd", "lion")[number % 3], "beta": 0.9},
            "batch": 2 ** (5 + number % 3),
            "augment": number % 2 == 0,
        }
        run = runstream.init(
            project=project,
            id=f"run-{number}",
            name=f"resnet-{number}",
            config=config,
            tags=["baseline"] if number == 0 else ["sweep", f"seed-{number % 3}"],
            group=f"seed-{number % 3}",
            notes="the first one" if number == 0 else "",
        )
        for step in range(STEPS):
            progress = step * lr / 100
            loss = 2.5 * math.exp(-progress) + 0.15 + chance.gauss(0, 0.05) + number * 0.01
            if number == 3 and step == SPIKE[0]:
                loss = SPIKE[1]
            values: dict[str, float] = {
                "train/loss": math.nan if number == 5 and step > 1500 else loss,
                "train/grad_norm": abs(chance.gauss(1, 0.3)) * math.exp(-progress / 3),
                "train/lr": lr * min(step / 100, 1) * (0.5 + 0.5 * math.cos(math.pi * step / STEPS)),
                "epoch": step // 100,
            }
            if step % 100 == 99:
                values["val/loss"] = loss * 1.1 + 0.05
                values["val/accuracy"] = 1 - math.exp(-progress * 2) * 0.9 - chance.random() * 0.01
            run.log(values, step=step)
        run.finish(exit_code=1 if number == count - 1 else 0, timeout=60)


def ranks(project: str, world: int) -> None:
    """One run of `world` ranks, logged by one process after the other."""
    for rank in range(world):
        run = runstream.init(
            project=project, id="ranks", name="many-ranks", rank=rank, world_size=world, config={"lr": 0.1}
        )
        for step in range(500):
            run.log(
                {"train/loss": 2 * math.exp(-step / 150) + rank * 0.02, "train/step_s": 0.2 + (rank == world - 1) * 0.1}
            )
        run.finish(timeout=60)


def live(project: str, folder: Path) -> None:
    """Logs a point every 20 ms until `folder`/stop is there."""
    run = runstream.init(project=project, id="live", name="live-one", config={"lr": 0.1})
    deadline = time.monotonic() + ENDLESS_S
    step = 0
    while not (folder / "stop").exists() and time.monotonic() < deadline:
        run.log({"train/loss": 2 * math.exp(-step / 200) + 0.1 * math.sin(step / 10), "train/speed": 50 + step % 7})
        step += 1
        time.sleep(0.02)
    run.finish(timeout=60)


def hostile(project: str, corpus: Path) -> None:
    """Each text of the corpus in every field that a user can fill."""
    for number, text in enumerate(json.loads(corpus.read_text(encoding="utf-8"))):
        run = runstream.init(
            project=project,
            id=f"hostile-{number}",
            name=text,
            notes=text,
            tags=[text[:60]],
            group=text[:60],
            job_type=text[:60],
            config={"text": text, text[:100]: {"nested": text}},
        )
        for step in range(3):
            run.log({f"{text[:80]}/x": step, text[:90]: 1 / (1 + step)})
        run.summary["said"] = text
        run.finish(timeout=60)


def shapes(project: str) -> None:
    """What charts stumble over: one point, only NaN, infinities, tiny and huge values, negative steps."""
    run = runstream.init(project=project, id="shapes", name="shapes")
    run.log({"one/point": 3.5}, step=7)
    for step in range(50):
        run.log(
            {
                "only/nan": math.nan,
                "some/infinite": math.inf if step % 10 == 3 else step,
                "all/constant": 42.0,
                "very/small": 1e-300 * (1 + step),
                "very/large": 1e300 * (1 + step),
                "all/negative": -step - 1.0,
            },
            step=step,
        )
    run.log({"far/apart": 1.0}, step=0)
    run.log({"far/apart": 2.0}, step=10**12)
    run.finish(timeout=60)


def rich(project: str) -> None:
    """Everything that is no scalar: images, histograms, a table, plots, a file, the console."""
    import numpy as np

    chance = np.random.default_rng(0)
    in_repository("lr = 0.3")
    plain = runstream.init(project=project, id="plain", name="nothing", config={"lr": 0.2})
    plain.finish(timeout=60)
    in_repository("lr = 0.1  # <b>lower</b>")
    run = runstream.init(project=project, id="rich", name="everything", config={"lr": 0.1})
    classes = ["cat", "dog", "owl"]
    for step in range(20):
        print(f"\x1b[32mepoch {step}\x1b[0m loss={1 / (1 + step):.4f}", flush=True)
        if step % 5 == 0:
            print(f"warning: step {step} was slow", file=sys.stderr, flush=True)
        grid = (np.indices((32, 32)).sum(axis=0) * 4 + step * 6) % 256
        run.log(
            {
                "loss": 1 / (1 + step),
                "samples": [runstream.Image(grid.astype(np.uint8), caption=f"step {step}, <b>sample</b>")],
                "weights": runstream.Histogram(chance.normal(step / 10, 1 + step / 20, 1000)),
            },
            step=step,
        )
        if step % 4 == 0:
            run.log({"sample text": f"step {step}: the <b>cat</b> sat\non the mat"}, step=step)
    page = "<h1 id='title'>A report</h1><script>document.getElementById('title').textContent = 'broken'</script>"
    run.log({"report": runstream.Html(page, caption="a page")}, step=19)
    run.alert("loss is high", "for <i>no</i> reason", level="WARN")
    run.alert("loss is NaN", level="ERROR")
    truth = chance.integers(0, 3, 200)
    guess = np.where(chance.random(200) < 0.8, truth, chance.integers(0, 3, 200))
    scores = np.eye(3)[guess] * 0.6 + 0.13
    rows = [[number, classes[truth[number]], float(chance.random())] for number in range(150)]
    run.log(
        {
            "predictions": runstream.Table(columns=["number", "class", "score"], data=rows),
            "confusion": runstream.plot.confusion_matrix(
                y_true=truth.tolist(), preds=guess.tolist(), class_names=classes
            ),
            "roc": runstream.plot.roc_curve(truth.tolist(), scores.tolist(), labels=classes),
        },
        step=20,
    )
    file = Path(run.dir) / "notes.txt"
    file.write_text("kept with the run", encoding="utf-8")
    run.save(str(file), base_path=str(run.dir))
    run.finish(timeout=60)


def in_repository(change: str) -> None:
    """From here on this process works in a checkout of its own, with an uncommitted change."""
    os.chdir(tempfile.mkdtemp(prefix="runstream-checkout-"))
    script = Path("train.py")
    script.write_text("lr = 0.2\n", encoding="utf-8")
    author = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", f"before {change}"]):
        subprocess.run(["git", *arguments], check=True)
    script.write_text(f"{change}\n", encoding="utf-8")


if __name__ == "__main__":
    what, project_name, *rest = sys.argv[1:]
    sys.argv[0] = Path(__file__).name  # the command is kept with the run, and shown in pictures
    if what == "finished":
        finished(project_name, int(rest[0]))
    elif what == "ranks":
        ranks(project_name, int(rest[0]))
    elif what == "live":
        live(project_name, Path(rest[0]))
    elif what == "hostile":
        hostile(project_name, Path(rest[0]))
    elif what == "rich":
        rich(project_name)
    else:
        shapes(project_name)
