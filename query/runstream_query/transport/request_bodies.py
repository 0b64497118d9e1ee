"""Reads bodies of HTTP requests within bounds, and parses large ones in threads beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from runstream_query.base.errors import ClientGoneError, InvalidRequestError, SlowBodyError
from runstream_query.transport.client_gone import Receive

MAX_BYTES = 1 << 20
_MAX_S = 30.0
"""Seconds for a whole body: a megabyte over a poor line takes half of it."""
_SMALL_BYTES = 16 << 10
"""Bodies up to this size are parsed in less time than a thread takes to start."""
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="bodies")
"""No more large bodies than these threads are parsed at once, which bounds their memory and processor time."""
_Result = TypeVar("_Result")


async def read_body(receive: Receive, most: int = MAX_BYTES) -> bytes:
    """Return the whole body. Raises InvalidRequestError (too large), SlowBodyError, ClientGoneError."""
    body = bytearray()
    try:
        async with asyncio.timeout(_MAX_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                body += message.get("body", b"")
                if len(body) > most:
                    raise InvalidRequestError(f"the request is larger than {most} bytes")
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError as error:
        raise SlowBodyError(_MAX_S) from error


async def aside(size: int, work: Callable[[], _Result]) -> _Result:
    """Return the result of `work`; where `size` is more than a few bytes, run it in a thread beside the event loop."""
    if size <= _SMALL_BYTES:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
