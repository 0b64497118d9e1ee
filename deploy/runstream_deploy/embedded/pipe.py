"""The pipe from the thread in which the engine writes an answer to the event loop that sends it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os

_CAPACITY_BYTES = 1 << 20
"""The engine writes a MiB at a time.

The kernel gives this much to any process, up to a limit on all pipes of a user.
"""
_READ_BYTES = 1 << 20


class Pipe:
    """A pipe whose writer blocks while the reader is behind, which bounds the memory.

    The engine ends its process when it writes to a pipe that nobody reads: call `close()` only when it writes no more.
    """

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_fd, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._write_fd, fcntl.F_SETPIPE_SZ, _CAPACITY_BYTES)

    @property
    def path(self) -> str:
        """The path to which the engine writes."""
        return f"/proc/self/fd/{self._write_fd}"

    def end_writing(self) -> None:
        """Let the reader come to the end. Call this once, from any thread."""
        os.close(self._write_fd)

    async def read(self) -> bytes:
        """Return the next piece, empty at the end."""
        while True:
            try:
                return os.read(self._read_fd, _READ_BYTES)
            except BlockingIOError:
                await self._readable()

    def close(self) -> None:
        os.close(self._read_fd)

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._read_fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._read_fd)
