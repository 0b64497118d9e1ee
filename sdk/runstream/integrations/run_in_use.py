"""The run that an integration logs to: the run it was given, the current run, or a run that it starts and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import runstream

if TYPE_CHECKING:
    from runstream.runs.run import Run


class RunHolder:
    """Starts a run when it is first needed, and ends only a run that it started."""

    def __init__(self, run: Run | None, **options: Any) -> None:
        self._given = run
        self._own: Run | None = None
        self._options = options

    @property
    def run(self) -> Run:
        if self._given is not None:
            return self._given
        if runstream.run is not None and not runstream.run.finished:
            return runstream.run
        if self._own is None or self._own.finished:
            self._own = runstream.init(**self._options)
        return self._own

    def finish(self, exit_code: int | None = None) -> None:
        if self._own is not None:
            if runstream.run is self._own:
                runstream.run = None
            self._own.finish(exit_code)
            self._own = None


def missing(module: str, package: str) -> ImportError:
    """Return the error to raise where a framework is not installed."""
    return ImportError(f"this integration needs {module}: pip install {package}")
