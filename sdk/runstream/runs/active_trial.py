"""The sweep's trial that this process works on: what `init()` takes from its agent, and how the trial is told to stop.

An agent that starts programs sets variables of their environment: RUNSTREAM_RUN_ID, RUNSTREAM_SWEEP_ID and, for a file,
RUNSTREAM_SWEEP_PARAM_PATH. An agent that calls a function sets the same variables around the call, so that processes
which the function starts find them too, and keeps the trial here.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runstream.base.notices import warn_once
from runstream.errors import SettingsError
from runstream.runs.processes import live_runs
from runstream.settings import Settings
from runstream.spool.append_row import AppendRow


class TrialStopped(SystemExit):
    """Raised by `log()` in a trial that must stop: pruned, cancelled, or given to another agent.

    The values of that `log()` are recorded. Do not catch it: an agent that called a function catches it, and goes on
    with the next trial; a program ends by it with status 0. Like KeyboardInterrupt it is no Exception, so that `except
    Exception` around a training step does not swallow it.
    """

    def __init__(self, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.code = 0
        self.cause = cause
        """pruned | sweep_cancelled | lease_lost | sweep_deleted | budget | sweep_finished"""
        self.reason = reason


@dataclass(frozen=True, slots=True)
class StopOrder:
    """The reason why a trial must stop."""

    cause: str
    reason: str


class ActiveTrial:
    """The trial of an agent's function, in the thread that made this object; or of this program, in its main thread."""

    def __init__(self, number: int, mark: Path | None = None) -> None:
        """Make the trial. `mark` is a program's file that tells its agent why it ended; see `stop_mark`."""
        self.number = number
        self.order: StopOrder | None = None
        self._home = (os.getpid(), threading.get_ident() if mark is None else threading.main_thread().ident)
        self._mark = mark
        self._asks = False

    def stop(self, order: StopOrder) -> None:
        """Set the order to stop, and tell the open runs. Any thread may call it, also again."""
        self.order = order
        for run in live_runs():
            run.apply_stop()

    def asked_to_stop(self) -> bool:
        """Return the value of `run.should_stop`; from now on `log()` does not raise TrialStopped."""
        self._asks = True
        if self.order is not None:
            self._leave_mark()
        return self.order is not None

    def wrap(self, append: AppendRow) -> AppendRow:
        """Return `append` as a function that then raises TrialStopped in the function's thread."""

        def append_and_stop(keys: tuple[str, ...], values: Iterable[object], step: int, now: int) -> None:
            append(keys, values, step, now)
            if self.order is None or self._asks or (os.getpid(), threading.get_ident()) != self._home:
                return  # an exception in a forked worker, or in a thread that only logs, would stop nothing
            self._leave_mark()
            raise TrialStopped(self.order.cause, self.order.reason)

        return append_and_stop

    def _leave_mark(self) -> None:
        if self._mark is not None:
            with contextlib.suppress(OSError):  # another node does not have the agent's folder
                self._mark.touch()


current: ActiveTrial | None = None
"""The trial of an agent that calls its function now; None otherwise."""


def of_run(settings: Settings) -> ActiveTrial | None:
    """Return the trial of a run that begins now, or None where no agent started it."""
    if current is not None or not settings.sweep_param_path:
        return current
    return ActiveTrial(0, stop_mark(settings.sweep_param_path))


def of_trial(settings: Settings, arguments: Mapping[str, object]) -> tuple[Settings, dict[str, object]]:
    """Return the settings that hold in a trial, and its parameters.

    Run, project and team come from the agent: with others the sweep would not find what is logged. Raises SettingsError
    when the parameters cannot be read.
    """
    agents = Settings.from_environment()
    for argument, name in (("project", "project"), ("entity", "entity"), ("id", "run_id")):
        given, value = arguments[argument], getattr(agents, name)
        if value and given not in (None, "", value):
            warn_once(f"init({argument}={given!r}): this is a trial of a sweep, whose {argument} is {value!r}: ignored")
    kept = {name: getattr(agents, name) or getattr(settings, name) for name in ("project", "entity", "run_id")}
    return settings.but(**kept), _read(settings.sweep_param_path)


def _read(path: str) -> dict[str, object]:
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object of names to values")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"RUNSTREAM_SWEEP_PARAM_PATH is {path!r}, and the trial's parameters cannot be read there: {error}"
        ) from error
    return found


def stop_mark(parameters: str) -> Path:
    """Return the file that marks a trial as stopped by the sweep, beside its parameters.

    An agent makes it before it sends SIGTERM to such a trial: its run ends well then, and is not called preempted. A
    program that learns of the order from its own stream first makes it too: the agent then knows why it ended.
    """
    return Path(f"{parameters}.stop")


def stopped_by_sweep(settings: Settings) -> bool:
    return bool(settings.sweep_param_path) and stop_mark(settings.sweep_param_path).exists()
