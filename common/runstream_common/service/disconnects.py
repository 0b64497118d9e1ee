"""End work for an HTTP client when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

_Result = TypeVar("_Result")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def unless_gone(receive: Receive, work: Awaitable[_Result], gone: type[Exception]) -> _Result:
    """Return the result of the work, or cancel it and raise `gone` when the client leaves first.

    Call this after the request's body has been read. `receive` is ASGI's.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise gone
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
