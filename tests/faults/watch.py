"""Looks at the runs while they are trained: one that lives is never shown crashed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from runstream.api import Api
from runstream.errors import RunstreamError
from tests.faults.lab import Lab
from tests.faults.workload import Workload

_EVERY_S = 0.5


@contextlib.contextmanager
def watched(lab: Lab, workload: Workload, wanted: bool) -> Iterator[list[str]]:
    """Ask for the state of each run twice a second, where it is `wanted`. Yields what was seen that must not be."""
    seen: list[str] = []
    if not wanted:
        yield seen
        return
    done = threading.Event()
    thread = threading.Thread(target=_look, args=(lab, workload, seen, done))
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _look(lab: Lab, workload: Workload, seen: list[str], done: threading.Event) -> None:
    while not done.wait(_EVERY_S):
        for run in workload.runs:
            state = _state(lab.api, f"{workload.project}/{run}")
            # Asked first: a process that lives now lived when the answer was made.
            if state in ("crashed", "failed", "preempted") and workload.alive(run):
                seen.append(f"{run} is shown {state} while all its processes live")


def _state(api: Api, path: str) -> str:
    """Empty while the server does not answer."""
    try:
        return api.run(path).state
    except RunstreamError:
        return ""
