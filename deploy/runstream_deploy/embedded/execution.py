"""One running statement: its answer, piece by piece, and its end when nobody wants the answer any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass

from runstream_deploy.embedded.pipe import Pipe

_KILL_AGAIN_S = 0.05
_QUICK_S = 0.005
"""Most statements end within this time. For them no task need watch the pipe and the client, which saves 0.5 ms."""


@dataclass(frozen=True, slots=True)
class StatementResult:
    """The result of a statement. `data` is its answer, where that did not come through the pipe."""

    data: bytes
    seconds: float
    rows_read: int = 0
    bytes_read: int = 0
    rows_written: int = 0
    bytes_written: int = 0


class Execution:
    """A running statement. `Engine.execute` makes it, and ends it."""

    def __init__(self, job: Future[StatementResult], pipe: Pipe | None, kill: Callable[[], Awaitable[None]]) -> None:
        """Wrap the statement that runs in a thread as `job`.

        `pipe` is the source of its answer, or None. `kill` ends the statement soon while it runs, and does nothing
        before it runs.
        """
        self._job = job
        self._done = asyncio.wrap_future(job)
        self._pipe = pipe
        self._kill = kill
        self._gave_all = False

    @property
    def done(self) -> bool:
        return self._done.done()

    async def quick(self) -> bool:
        """Return whether the statement ended within a few milliseconds.

        Its whole answer is there then, and `read` does not wait.
        """
        await asyncio.wait({self._done}, timeout=_QUICK_S)
        return self._done.done()

    async def read(self) -> bytes:
        """Return the next piece of the answer, empty at the end. Raise EngineError, also after the first pieces."""
        if self._pipe is not None and (data := await self._pipe.read()):
            return data
        data = (await self.answer()).data if not self._gave_all else b""
        self._gave_all = True
        return data

    async def answer(self) -> StatementResult:
        """Return the statement's result. Call this when `read` has come to the end. Raise EngineError."""
        # This is shielded: the waiting task may be cancelled, the thread cannot.
        return await asyncio.shield(self._done)

    async def end(self, *, kill: bool) -> None:
        """Return when the statement has ended and its pipe is closed. With `kill` this is soon."""
        if kill and self._job.cancel():  # it was still waiting for a thread
            if self._pipe is not None:
                self._pipe.end_writing()
        else:
            while not self._done.done():
                if kill:
                    await self._kill()
                await self._pass_time()
            self._done.exception()  # nobody else reads the exception
        if self._pipe is not None:
            self._pipe.close()

    async def _pass_time(self) -> None:
        """Read from the pipe for a while, so that a blocked writer gets to the place where it notices the kill."""
        try:
            async with asyncio.timeout(_KILL_AGAIN_S):
                while self._pipe is not None and await self._pipe.read():
                    pass
                await asyncio.wait({self._done})
        except TimeoutError:
            return
