"""One statement under way: its answer piece by piece, and its end when nobody wants it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass

from runstream_deploy.embedded.pipe import Pipe

_KILL_AGAIN_S = 0.05
_QUICK_S = 0.005
"""In which most statements end: for them nothing has to watch the pipe and the client (half a millisecond saved)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement ended with. `data`: its answer, where that did not come through the pipe."""

    data: bytes
    seconds: float
    rows_read: int = 0
    bytes_read: int = 0
    rows_written: int = 0
    bytes_written: int = 0


class Execution:
    """Made by `Engine.execute`, which also ends it: see there."""

    def __init__(self, job: Future[Answer], pipe: Pipe | None, kill: Callable[[], Awaitable[None]]) -> None:
        """`job`: the statement in its thread; `pipe`: where its answer comes from, or None; `kill`: ends the
        statement soon where it is under way, and does nothing where it is not yet."""
        self._job = job
        self._done = asyncio.wrap_future(job)
        self._pipe = pipe
        self._kill = kill
        self._gave_all = False

    @property
    def done(self) -> bool:
        return self._done.done()

    async def quick(self) -> bool:
        """Whether it ended within a few milliseconds: then its answer is there, whole, and `read` does not wait."""
        await asyncio.wait({self._done}, timeout=_QUICK_S)
        return self._done.done()

    async def read(self) -> bytes:
        """The next piece of the answer, empty at the end. Raises EngineError, also after the first pieces."""
        if self._pipe is not None and (data := await self._pipe.read()):
            return data
        data = (await self.answer()).data if not self._gave_all else b""
        self._gave_all = True
        return data

    async def answer(self) -> Answer:
        """What it ended with: once `read` has come to the end. Raises EngineError."""
        # Shielded: who waits may be cancelled, the thread cannot.
        return await asyncio.shield(self._done)

    async def end(self, *, kill: bool) -> None:
        """Return when the statement has ended and its pipe is closed; with `kill`, soon."""
        if kill and self._job.cancel():  # it waited for a thread
            if self._pipe is not None:
                self._pipe.end_writing()
        else:
            while not self._done.done():
                if kill:
                    await self._kill()
                await self._pass_time()
            self._done.exception()  # nobody asks any more
        if self._pipe is not None:
            self._pipe.close()

    async def _pass_time(self) -> None:
        """A writer that is blocked goes on to the place where it learns of its end."""
        try:
            async with asyncio.timeout(_KILL_AGAIN_S):
                while self._pipe is not None and await self._pipe.read():
                    pass
                await asyncio.wait({self._done})
        except TimeoutError:
            return
