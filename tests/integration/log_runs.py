"""Logs runs as a program would: `python log_runs.py PROJECT SWEEP`. Standard input is a JSON list of objects: `id`,
`logs` (metric -> values, one a step), `summary` (metric -> define_metric's summary), `set` (summary keys)."""

from __future__ import annotations

import json
import os
import sys

import runstream


def main(project: str, sweep: str) -> None:
    os.environ["RUNSTREAM_SWEEP_ID"] = sweep
    for given in json.load(sys.stdin):
        run = runstream.init(project=project, id=given["id"])
        for metric, summary in given.get("summary", {}).items():
            run.define_metric(metric, summary=summary)
        logs = given.get("logs", {})
        for step in range(max(map(len, logs.values()), default=0)):
            run.log({metric: float(values[step]) for metric, values in logs.items() if step < len(values)}, step=step)
        for key, value in given.get("set", {}).items():
            run.summary[key] = value
        run.finish()


if __name__ == "__main__":
    main(*sys.argv[1:3])
