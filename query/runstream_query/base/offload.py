"""Runs work that would keep the event loop busy in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

_Made = TypeVar("_Made")


async def offload(heavy: bool, make: Callable[..., _Made], *arguments: object) -> _Made:
    """Return what `make` makes of the arguments.

    Heavy work runs in a thread, so that other requests do not wait for it; for light work a thread costs more than it
    saves.
    """
    return await asyncio.to_thread(make, *arguments) if heavy else make(*arguments)
