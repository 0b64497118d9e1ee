"""What the SDK says to people: on standard error, one line each, nothing twice."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from runstream.errors import UsageError

_MAX_KINDS = 100


class RunstreamWarning(UserWarning):
    """Something that was logged could not be kept as it was."""


def warn(sentence: str, category: type[Warning]) -> None:
    """A warning at the line of the caller's own code, which no filter makes an exception."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "runstream":
        frame = frame.f_back
    place = (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("runstream", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn_explicit(sentence, category, *place)


class Notices:
    """Complaints once a kind, news unless silent, a progress line on a terminal."""

    def __init__(self, silent: bool, strict: bool) -> None:
        self._silent = silent
        self._strict = strict
        self._said: set[str] = set()

    def complain(self, kind: str, sentence: str) -> None:
        """Warn about bad input, once a kind. Raises UsageError when strict."""
        if self._strict:
            raise UsageError(sentence)
        if kind in self._said or len(self._said) >= _MAX_KINDS:
            return
        self._said.add(kind)
        warn(sentence, RunstreamWarning)

    def say(self, sentence: str) -> None:
        if not self._silent:
            print(f"runstream: {sentence}", file=sys.stderr, flush=True)  # noqa: T201

    def warn(self, sentence: str) -> None:
        """Something was lost: said also when silent."""
        print(f"runstream: {sentence}", file=sys.stderr, flush=True)  # noqa: T201

    @contextmanager
    def progress(self) -> Iterator[Callable[[str], None]]:
        """A function that shows a line in place, on a terminal only; the line is gone afterwards."""
        visible = not self._silent and sys.stderr.isatty()

        def show(text: str) -> None:
            if visible:
                print(f"\r\033[Krunstream: {text}", end="", file=sys.stderr, flush=True)  # noqa: T201

        try:
            yield show
        finally:
            if visible:
                print("\r\033[K", end="", file=sys.stderr, flush=True)  # noqa: T201
