"""Print the demo's results, read from the server.

They are the training curve, the ranked runs, and the number of points logged against those stored.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import plotext
from rich.console import Console
from rich.table import Table

import runstream
from runstream_deploy.addresses import Addresses


def report(project: str, addresses: Addresses) -> bool:
    """Print the report. Return True when every run is complete."""
    api = runstream.Api()
    console = Console(width=100)
    ranked = api.rank(project, "val/accuracy", goal="maximize")
    main = next(run for run in api.runs(project) if run.world_size > 1)
    _plot(main.history(200, ["train/loss"], pandas=False), main.name)
    _rank(console, ranked)
    return _compare(console, [run for _, run in ranked])


def report_sweep(sweep_id: str, took_s: float) -> bool:
    """Print the sweep's best trials. Return True when every run of the sweep is complete."""
    sweep = runstream.Sweep(sweep_id)
    counts, api = sweep.counts, runstream.Api()
    console = Console(width=100)
    table = Table(title="The sweep's best by val/accuracy")
    for column in ("#", "trial", "val/accuracy", "lr", "momentum", "batch"):
        table.add_column(column, justify="right")
    for place, trial in enumerate(sweep.top(8), start=1):
        found = trial.parameters
        table.add_row(
            str(place),
            str(trial.number),
            f"{trial.value:.4f}",
            f"{found['lr']:.4g}",
            f"{found['momentum']:.2f}",
            str(found["batch"]),
        )
    console.print(table)
    info = sweep.info()
    runs = [api.run(f"{info.team}/{info.project}/{trial.run}") for trial in sweep.trials() if trial.attempt]
    verdicts = [run.completeness["verdict"] for run in runs]
    console.print(
        f"{counts['finished']} trials finished, {counts['pruned']} stopped early, {counts['failed']} failed "
        f"in {took_s:.0f} s; {verdicts.count('complete')} of {len(verdicts)} runs complete"
    )
    return set(verdicts) == {"complete"}


def look_further(data: Path, project: str, sweep: str, addresses: Addresses) -> None:
    base, engine = f"http://{addresses.http}", f"http://{addresses.clickhouse}"
    print("\nLook further:")
    print(f"  export RUNSTREAM_BASE_URL={base} RUNSTREAM_QUERY_GRPC={addresses.grpc}")
    print(f"  curl -H \"authorization: Bearer $(cat {data}/api-key)\" '{base}/api/v1/ListRuns?project={project}'")
    print(f"  curl -u default:$(cat {data}/clickhouse-password) {engine} -d 'SELECT count() FROM points'")
    print(f"  runstream sweep show {sweep}; runstream sweep best {sweep} --yaml")


def _plot(rows: list[dict[str, Any]], name: str) -> None:
    steps = [row["_step"] for row in rows]
    figure = plotext.figure
    figure.clear()
    figure.plot_size(96, 18)
    figure.title(f"train/loss by step, run {name}")
    for key, label in (("train/loss.max", "worst of 4 ranks"), ("train/loss", "mean of 4 ranks")):
        signal = figure.signal(steps, [row[key] for row in rows], marker="hd")
        signal.lines()
        signal.label(label)
        figure.draw(signal)
    figure.legend(x=1, y=1, ha="right", va="top", relative=True)
    figure.show(colorless=not sys.stdout.isatty())


def _rank(console: Console, ranked: list[tuple[float, Any]]) -> None:
    table = Table(title="Runs by val/accuracy")
    for column in ("#", "run", "learning rate", "ranks", "val/accuracy", "train/loss", "state"):
        table.add_column(column, justify="left" if column in ("run", "state") else "right")
    for place, (value, run) in enumerate(ranked, start=1):
        table.add_row(
            str(place),
            run.name,
            f"{run.config['lr']:g}",
            str(run.world_size),
            f"{value:.4f}",
            f"{run.summary['train/loss']:.4f}",
            run.state,
        )
    console.print(table)


def _compare(console: Console, runs: list[Any]) -> bool:
    """Compare the points that the ranks logged with the points that ClickHouse stored, and print both.

    Return True when they are equal and every run is complete.
    """
    logged = stored = 0
    verdicts = []
    for run in runs:
        found = run.completeness
        logged, stored = logged + found["points_logged"], stored + found["points_stored"]
        verdicts.append(found["verdict"])
    complete = logged == stored and set(verdicts) == {"complete"}
    console.print(f"points logged {logged:,} {'=' if logged == stored else '≠'} points stored {stored:,}; ", end="")
    console.print(f"{verdicts.count('complete')} of {len(verdicts)} runs complete")
    return complete
