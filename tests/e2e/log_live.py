"""A training process for tests that does what it is told, a line of JSON each: RUN. `{"log": {...}, "step": 3}`,
`{"print": "text"}`, `{"alert": "title"}`, `{"config": {...}}`, `{"finish": true}`."""

from __future__ import annotations

import json
import sys

import runstream


def main() -> None:
    run = runstream.init(project="live", id=sys.argv[1])
    for line in sys.stdin:
        told = json.loads(line)
        if "log" in told:
            run.log(told["log"], step=told.get("step"))
        if "print" in told:
            print(told["print"], flush=True)
        if "alert" in told:
            run.alert(told["alert"])
        if "config" in told:
            run.config.update(told["config"])
        if "finish" in told:
            sys.exit(0 if run.finish(timeout=30) else 3)


if __name__ == "__main__":
    main()
