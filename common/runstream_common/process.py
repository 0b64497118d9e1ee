"""A service's process: how it is told to end, what it keeps of memory, who it says it is."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal

INSTANCE, INSTANCE_HEADER = "RUNSTREAM_INSTANCE", "x-runstream-instance"
"""What `runstream up` gives to a process that it starts, and what that process answers to a health check: an answer of
somebody else on the same port is not taken for its."""
_COLLECT = (10_000, 20, 20)
"""Objects made and not freed between looks at the youngest, and how many of these looks between those at older ones."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 256 << 20
"""Free memory at the end of the heap that the process keeps."""
_MAPPED_ALONE_BYTES = 32 << 20
"""What is larger has pages of its own; glibc takes no more than this."""


def instance_headers() -> dict[str, str]:
    """Of answers to health checks. Empty where nobody has given this process an id."""
    given = os.environ.get(INSTANCE, "")
    return {INSTANCE_HEADER: given} if given else {}


def settle_in() -> None:
    """For a service that is ready: what it has loaded by now stays, and need not be looked through for garbage again.
    With many calls at once, whose objects all live, Python's collector would otherwise take a fifth of the time. And
    memory that was freed is kept for the next answer, up to 256 MiB."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Arrays of some megabytes come and go with each answer. As it is set, glibc gives each back to the kernel at once
    and has it zeroed again for the next: half of the processor time of putting a million points into buckets."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # another C library has none
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_ALONE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


async def until_told_to_end() -> str:
    """Wait for SIGTERM or SIGINT; returns its name."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[str] = loop.create_future()

    def tell(name: str) -> None:
        if not told.done():
            told.set_result(name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell, signal.Signals(number).name)
    return await told
