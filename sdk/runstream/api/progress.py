"""A line on the terminal that shows the progress of a long job. Without a terminal it prints nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

_EVERY_S = 0.1
_WIDTH = 24


class TransferProgress:
    """A progress line: `with Progress("exporting", total) as progress: progress.add(1)`.

    It writes to stderr, at most ten times a second.
    """

    def __init__(self, what: str, total: int = 0, unit: str = "", stream: TextIO | None = None) -> None:
        """Start the clock. `total` is 0 where it is not known."""
        self._what = what
        self._total = total
        self._unit = unit
        self._done = 0
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._next = 0.0
        self._started = time.monotonic()

    def add(self, count: int, what: str = "") -> None:
        """Add `count` to the amount that is done; `what` names the current part of the work."""
        self._done += count
        self._what = what or self._what
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + _EVERY_S
            self._draw(now)

    def __enter__(self) -> TransferProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._draw(time.monotonic())
            self._stream.write("\n")
            self._stream.flush()

    def _draw(self, now: float) -> None:
        rate = self._done / max(now - self._started, 1e-6)
        amount = f"{_short(self._done)}{'/' + _short(self._total) if self._total else ''} {self._unit}".rstrip()
        bar = ""
        if self._total:
            filled = min(_WIDTH * self._done // self._total, _WIDTH)
            bar = f" [{'#' * filled}{'.' * (_WIDTH - filled)}]"
        self._stream.write(f"\r\x1b[K{self._what}{bar} {amount}, {_short(int(rate))}/s")
        self._stream.flush()


def _short(number: float) -> str:
    for suffix in ("", "k", "M", "G"):
        if number < 10_000:
            return f"{number:.0f}{suffix}"
        number /= 1000
    return f"{number:.0f}T"
