"""The pipe between a thread in which the engine writes an answer and the event loop that sends it on."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os

_CAPACITY_BYTES = 1 << 20
"""The engine writes a MiB at a time; the kernel gives so much to anybody, up to a limit on all pipes of a user."""
_READ_BYTES = 1 << 20


class Pipe:
    """The writer blocks while the reader is behind: that is the back-pressure, and the bound on memory.

    The engine ends its process when it writes to a pipe that nobody reads: `close()` only when it writes no more.
    """

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_fd, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._write_fd, fcntl.F_SETPIPE_SZ, _CAPACITY_BYTES)

    @property
    def path(self) -> str:
        """Where the engine writes."""
        return f"/proc/self/fd/{self._write_fd}"

    def end_writing(self) -> None:
        """The reader comes to the end. From any thread, once."""
        os.close(self._write_fd)

    async def read(self) -> bytes:
        """The next piece, empty at the end."""
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
