"""Output of a notebook's cells: the kernel sends it to the page itself, without any file descriptor."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO


class CellOutput:
    """A replacement of `sys.stdout` or `sys.stderr` of an IPython kernel.

    The text is shown as before, and appended to a file. The stream itself cannot be wrapped: IPython puts its own
    `write` onto it for each cell, and takes it off again.
    """

    def __init__(self, name: str, stream: TextIO, file: Path) -> None:
        self._name = name
        self._stream = stream
        self._fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        setattr(sys, name, self)
        self._move_handlers(stream, self)

    def write(self, text: str) -> Any:
        shown = self._stream.write(text)
        with contextlib.suppress(Exception):  # a cell goes on although its copy fails
            os.write(self._fd, text.encode("utf-8", "replace"))
        return shown

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_stream"], name)

    def stop(self) -> None:
        """Restore the stream, unless somebody has replaced it since."""
        if getattr(sys, self._name) is self:
            setattr(sys, self._name, self._stream)
        self._move_handlers(self, self._stream)
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):
            os.close(fd)

    @staticmethod
    def _move_handlers(before: object, after: object) -> None:
        """Move log handlers to the other stream.

        `logging.basicConfig()` keeps the stream that was there when it was called.
        """
        import logging  # the kernel has loaded it already

        for handler in logging.root.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                handler.setStream(after)


def kernel_streams() -> dict[str, TextIO]:
    """Return `sys.stdout` and `sys.stderr` by name, where they are an IPython kernel's."""
    streams = {"stdout": sys.stdout, "stderr": sys.stderr}
    return {name: stream for name, stream in streams.items() if type(stream).__module__.startswith("ipykernel.")}
