"""The services of `runstream up` as child processes.

`up` starts them in order, restarts those that died, and stops them in the reverse order.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import runstream_common
from runstream_common.service.os_process import INSTANCE

RESTART_MIN_S, RESTART_MAX_S = 0.3, 10.0
SETTLED_S = 30.0
"""A child that has lived this long has started well: it is started again whenever it dies."""
STARTS_AT_FIRST = 3
"""A child that never came up is given up after this many failures in a row.

The cause seldom passes by itself: a port that is taken, a wrong setting, a damaged file.
"""
STARTS_LATER = 10
"""The same limit for a child that had come up: about a minute and a half.

A service that it needs (ClickHouse, Kafka) may still be starting.
"""
_TAIL_BYTES = 2000


class ServiceProcessError(Exception):
    """A child did not start, or did not start again. The message ends with the last lines of its log."""


class Tether:
    """A pipe by which children notice that this process has died.

    Nobody writes to it, and only this process has its write end. Children inherit neither end, except for the read end
    that they are given.
    """

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self._write_end)


@dataclass(slots=True)
class ServiceProcess:
    """One service as a process in a session of its own: Ctrl-C reaches only `up`, which stops the service in order."""

    name: str
    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    tether: Tether
    restarts: int = 0
    stopping: bool = False
    came_up: bool = False
    instance: str = ""
    """The id that the running process sends with its answers to health checks."""
    given_up: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set when the child failed too often in a row and is not started again. `problem` says what is known."""
    problem: str = ""
    process: asyncio.subprocess.Process | None = None
    supervisor: asyncio.Task[None] | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Start the child, and keep it running until `stop()`. Raise OSError."""
        await self._spawn()
        self.supervisor = asyncio.create_task(self._supervise(), name=f"supervise {self.name}")

    async def stop(self, timeout_s: float) -> None:
        """Send SIGTERM, and SIGKILL when the child has not ended after `timeout_s` seconds."""
        self.stopping = True
        if self.supervisor is not None:
            self.supervisor.cancel()
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
        """Return the last lines of the child's log."""
        try:
            data = self.log.read_bytes()[-_TAIL_BYTES:]
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in data.decode("utf-8", "replace").splitlines()[-8:])

    async def _spawn(self) -> None:
        """Start the process.

        Call this from the main thread, because the kernel signals the child when that thread dies.
        """
        self.instance = secrets.token_hex(8)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # `up` is started in a user's project folder, whose rich.py the services must not import
                "-m",
                "runstream_common.service.tether",
                str(self.tether.read_end),
                self.module,
                *self.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**_safe_environment(), **self.environment, INSTANCE: self.instance},
                pass_fds=(self.tether.read_end,),
                start_new_session=True,
            )

    async def _supervise(self) -> None:
        delay, failures = RESTART_MIN_S, 0
        while True:
            assert self.process is not None
            started = time.monotonic()
            ended = _ending(await self.process.wait())
            if self.stopping:
                return
            if time.monotonic() - started >= SETTLED_S:
                delay, failures = RESTART_MIN_S, 0
            while True:
                failures += 1
                if failures >= (STARTS_LATER if self.came_up else STARTS_AT_FIRST):
                    self.problem = f"{self.name} {ended}, {failures} times in a row soon after its start"
                    self.given_up.set()
                    return
                self.restarts += 1
                print(f"runstream up: {self.name} {ended}, starting it again (log: {self.log})", flush=True)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RESTART_MAX_S)
                try:
                    await self._spawn()
                    break
                except OSError as error:  # a lack of memory, or too many processes, may pass
                    ended = f"could not be started ({error})"


def _safe_environment() -> dict[str, str]:
    """Return this process's variables without those that make Python import from the current folder.

    These are an empty or relative entry of PYTHONPATH (as `PYTHONPATH=$PYTHONPATH:/x` leaves one), and the folder
    itself unless the product lies there.
    """
    kept = dict(os.environ)
    unsafe = {Path.cwd()} - {Path(runstream_common.__file__).parents[1]}
    entries = kept.pop("PYTHONPATH", "").split(os.pathsep)
    if safe := [entry for entry in entries if Path(entry).is_absolute() and Path(entry) not in unsafe]:
        kept["PYTHONPATH"] = os.pathsep.join(safe)
    return kept


def _ending(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"


async def wait_until(
    child: ServiceProcess, what: str, check: Callable[[], Awaitable[str | None]], timeout_s: float
) -> None:
    """Wait until `check()` returns None.

    Raise ServiceProcessError with the last problem and the log, after `timeout_s` seconds or as soon as the child is
    given up.
    """
    deadline = time.monotonic() + timeout_s
    problem: str | None = "no answer yet"
    while time.monotonic() < deadline and not child.given_up.is_set():
        problem = await check()
        if problem is None:
            child.came_up = True
            return
        await asyncio.sleep(0.1)
    raise (
        given_up_error(child)
        if child.given_up.is_set()
        else ServiceProcessError(f"{what} did not start within {timeout_s:g} s: {problem}\n{child.tail()}")
    )


def given_up_error(child: ServiceProcess) -> ServiceProcessError:
    """Return the error for a child that was given up."""
    return ServiceProcessError(f"{child.problem}; the end of {child.log}:\n{child.tail()}")
