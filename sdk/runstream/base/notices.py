"""The messages of the SDK for people: on standard error, one line each, no message twice."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from runstream.errors import UsageError

_MAX_KINDS = 100
_warned: set[str] = set()
"""The sentences of `warn_once` so far."""


class RunstreamWarning(UserWarning):
    """A value that was logged could not be kept as it was."""


def warn(sentence: str, category: type[Warning]) -> None:
    """Issue a warning at the line of the caller's own code; no filter makes an exception of it."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "runstream":
        frame = frame.f_back
    place = (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("runstream", 1)
    with contextlib.suppress(Exception), warnings.catch_warnings():  # a broken terminal must not end a training
        warnings.simplefilter("always")
        warnings.warn_explicit(sentence, category, *place)


def warn_once(sentence: str) -> None:
    """Issue a UserWarning once a process for each sentence; no warning filter turns it into an exception."""
    if sentence not in _warned:
        _warned.add(sentence)
        warn(f"runstream: {sentence}", UserWarning)


def print_line(text: str, end: str = "\n") -> None:
    """Print a line on standard error, where there is one that accepts it. Never raises."""
    if sys.stderr is None:
        return  # print() would take standard output instead
    with contextlib.suppress(Exception):  # it is closed, the disk is full, or it is an object that raises
        print(text, end=end, file=sys.stderr, flush=True)  # noqa: T201


class Notices:
    """Messages for people: a complaint once for each kind, news unless silent, a progress line on a terminal."""

    def __init__(self, silent: bool, strict: bool) -> None:
        self._silent = silent
        self._strict = strict
        self._said: set[str] = set()

    def complain(self, kind: str, sentence: str) -> None:
        """Warn about bad input, once for each kind. Raises UsageError when strict."""
        if self._strict:
            raise UsageError(sentence)
        if kind in self._said or len(self._said) >= _MAX_KINDS:
            return
        self._said.add(kind)
        warn(sentence, RunstreamWarning)

    def say(self, sentence: str) -> None:
        if not self._silent:
            print_line(f"runstream: {sentence}")

    def warn(self, sentence: str) -> None:
        """Report a loss, also when silent."""
        print_line(f"runstream: {sentence}")

    @contextmanager
    def progress(self) -> Iterator[Callable[[str], None]]:
        """Yield a function that shows a line in place, on a terminal only; the line is removed afterwards."""
        visible = not self._silent and _is_terminal()

        def show(text: str) -> None:
            if visible:
                print_line(f"\r\033[Krunstream: {text}", end="")

        try:
            yield show
        finally:
            if visible:
                print_line("\r\033[K", end="")


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except Exception:  # noqa: BLE001  # it is None, closed, or an object of the program's own
        return False
