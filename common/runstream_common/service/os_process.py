"""A service's process: how it is told to end, which memory it keeps, and its id."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal

INSTANCE, INSTANCE_HEADER = "RUNSTREAM_INSTANCE", "x-runstream-instance"
"""`runstream up` gives this id to a process that it starts.

The process sends the id with each answer to a health check, so that an answer of another program on the same port is
not mistaken for the process's own.
"""
_COLLECT = (10_000, 20, 20)
"""The thresholds of Python's garbage collector.

They are the new objects after which it examines the youngest generation, and the examinations of a younger generation
after which it examines the next older one.
"""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 256 << 20
"""The free memory at the end of the heap that the process keeps."""
_MAPPED_ALONE_BYTES = 32 << 20
"""A larger block has pages of its own; glibc accepts no higher threshold."""


def instance_headers() -> dict[str, str]:
    """Return the headers for answers to health checks; empty where this process was given no id."""
    given = os.environ.get(INSTANCE, "")
    return {INSTANCE_HEADER: given} if given else {}


def settle_in() -> None:
    """Tune the memory of a service that is ready.

    Objects that are loaded by now stay, and the garbage collector does not examine them again. With many calls at once,
    whose objects are all in use, it would otherwise take a fifth of the time. Freed memory is kept for the next answer,
    up to 256 MiB.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of giving it back to the kernel.

    Arrays of some megabytes come and go with each answer. By default glibc gives each back at once, and the kernel
    zeroes it again for the next: half of the processor time of putting a million points into buckets.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # another C library has no mallopt
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_ALONE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


async def until_told_to_end() -> str:
    """Wait for SIGTERM or SIGINT, and return its name."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[str] = loop.create_future()

    def tell(name: str) -> None:
        if not told.done():
            told.set_result(name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell, signal.Signals(number).name)
    return await told
