"""Child processes of `runstream up`: started in order, restarted when they die, stopped in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

RESTART_MIN_S, RESTART_MAX_S = 0.3, 10.0
_TAIL_BYTES = 2000


class ChildError(Exception):
    """A child did not come up; the message ends with the last lines of its log."""


@dataclass(slots=True)
class Child:
    """One service as a process of its own, in a session of its own: Ctrl-C is for `up`, which stops it in order."""

    name: str
    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    restarts: int = 0
    stopping: bool = False
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Start it, and keep it running until `stop()`."""
        await self._spawn()
        self.keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self, timeout_s: float) -> None:
        """Ask it to end (SIGTERM), then make it."""
        self.stopping = True
        if self.keeper is not None:
            self.keeper.cancel()
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(timeout_s):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def tail(self) -> str:
        """The end of its log."""
        try:
            data = self.log.read_bytes()[-_TAIL_BYTES:]
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in data.decode("utf-8", "replace").splitlines()[-8:])

    async def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.module,
                *self.arguments,
                "--exit-with-parent",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    async def _keep(self) -> None:
        delay = RESTART_MIN_S
        while not self.stopping:
            assert self.process is not None
            started = time.monotonic()
            code = await self.process.wait()
            if self.stopping:
                return
            if time.monotonic() - started > 30:
                delay = RESTART_MIN_S
            self.restarts += 1
            print(
                f"runstream up: {self.name} ended with status {code}, starting it again (log: {self.log})", flush=True
            )
            await asyncio.sleep(delay)
            delay = min(delay * 2, RESTART_MAX_S)
            await self._spawn()


async def wait_until(child: Child, what: str, check: object, timeout_s: float) -> None:
    """Wait until `check()` (a coroutine function) says None. Raises ChildError with what it said last and the log."""
    deadline = time.monotonic() + timeout_s
    problem: str | None = "not asked yet"
    while time.monotonic() < deadline:
        problem = await check()  # type: ignore[operator]
        if problem is None:
            return
        await asyncio.sleep(0.1)
    raise ChildError(f"{what} did not come up within {timeout_s:g} s: {problem}\n{child.tail()}")
