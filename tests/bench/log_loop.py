"""Loops that the SDK's benchmark runs, one process each; a JSON object is the last line. Imports only what is timed.

latency WIDTH CALLS LIBRARY FOLDER | throughput WIDTH ROWS | memory WIDTH ROWS | steady WIDTH SECONDS |
training WIDTH STEPS
"""

from __future__ import annotations

import json
import os
import sys
import time

clock = time.perf_counter_ns


def row_of(width):
    return {f"train/metric_{number:04d}": 1.0 / (number + 3) for number in range(width)}


def logger(library, folder):
    """A function (data, step) that logs as that library's users do."""
    if library == "runstream":
        import runstream

        run = runstream.init(project="bench")
        return run.log, lambda: run.finish(timeout=60)
    if library == "wandb":
        import wandb

        run = wandb.init(project="bench", mode="offline", dir=folder, settings=wandb.Settings(console="off"))
        return run.log, run.finish
    if library == "trackio":
        import trackio

        trackio.init(project="bench", embed=False) if "embed" in trackio.init.__code__.co_varnames else trackio.init(
            project="bench"
        )
        return lambda data, step: trackio.log(data), trackio.finish
    if library == "neptune-scale":
        from neptune_scale import Run

        run = Run(experiment_name="bench", project="w/p", mode="offline", log_directory=folder)
        return lambda data, step: run.log_metrics(data=data, step=step), run.close
    if library == "tensorboardX":
        from tensorboardX import SummaryWriter

        writer = SummaryWriter(folder)

        def log(data, step):
            for key, value in data.items():
                writer.add_scalar(key, value, step)

        return log, writer.close
    if library == "aim":
        from aim import Run

        run = Run(repo=folder, system_tracking_interval=None, log_system_params=False, capture_terminal_logs=False)
        return lambda data, step: run.track(data, step=step), run.close
    if library == "mlflow":
        import mlflow

        mlflow.set_tracking_uri(f"file://{folder}/mlruns")
        mlflow.start_run()
        return lambda data, step: mlflow.log_metrics(data, step=step), mlflow.end_run
    raise SystemExit(f"no such library: {library}")


def latency(width, calls, library, folder):
    log, end = logger(library, folder)
    data = row_of(width)
    for step in range(min(200, calls)):
        log(data, step)
    times = [0] * calls
    for number in range(calls):
        step = number + 200
        before = clock()
        log(data, step)
        times[number] = clock() - before
    times.sort()
    found = {name: times[min(int(calls * part), calls - 1)] / 1e3 for name, part in PERCENTILES.items()}
    report = json.dumps({**found, "names": list(PERCENTILES), "mean": sum(times) / calls / 1e3})
    if library in ("runstream", "tensorboardX"):
        end()
    print(report, flush=True)
    if library not in ("runstream", "tensorboardX"):
        os._exit(0)  # what they do at their end is not timed, and takes some of them minutes


PERCENTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def throughput(width, rows):
    import runstream

    data = row_of(width)
    run = runstream.init(project="bench")
    cpu, before = time.process_time(), time.perf_counter()
    for _ in range(rows):
        run.log(data)
    report = {"seconds": time.perf_counter() - before, "cpu_s": time.process_time() - cpu, "points": run.points_logged}
    run.finish(timeout=120)
    print(json.dumps(report))


def memory(width, rows):
    import runstream

    data = row_of(width)
    run = runstream.init(project="bench")
    for _ in range(rows):
        run.log(data)
    with open("/proc/self/status") as status:  # noqa: PTH123
        rss = next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
    run.finish()
    print(json.dumps({"rss_mb": rss}))


def steady(width, seconds):
    import runstream

    data = row_of(width)
    run = runstream.init(project="bench")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run.log(data)
        time.sleep(0.01)
    run.finish(timeout=60)


def training(width, steps):
    """A step of a small network in numpy, with and without log(), alternating, so that noise meets both alike."""
    import numpy as np

    import runstream

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    data = row_of(width)
    run = runstream.init(project="bench")
    generator = np.random.default_rng(0)
    inputs, weights = generator.normal(size=(256, 512)), generator.normal(size=(512, 512))

    def step():
        nonlocal weights
        hidden = np.maximum(inputs @ weights, 0)
        weights = weights - 1e-6 * (inputs.T @ hidden)

    with_log, without = [], []
    for _ in range(steps):
        for times, logs in ((without, False), (with_log, True)):
            before = clock()
            step()
            if logs:
                run.log(data)
            times.append(clock() - before)
    run.finish(timeout=60)
    with_log.sort(), without.sort()
    a, b = with_log[len(with_log) // 2], without[len(without) // 2]
    print(json.dumps({"percent": (a / b - 1) * 100, "step_ms": b / 1e6}))


if __name__ == "__main__":
    kind, arguments = sys.argv[1], sys.argv[2:]
    if kind == "latency":
        latency(int(arguments[0]), int(arguments[1]), arguments[2], arguments[3])
    else:
        {"throughput": throughput, "memory": memory, "steady": steady, "training": training}[kind](
            int(arguments[0]), int(arguments[1])
        )
