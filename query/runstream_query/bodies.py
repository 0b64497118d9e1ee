"""Bodies of HTTP requests: read within bounds, and taken apart beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from runstream_query.errors import ClientGoneError, InvalidQuestionError, SlowBodyError
from runstream_query.leaving import Receive

MAX_BYTES = 1 << 20
_MAX_S = 30.0
"""For all of a body: a megabyte over a poor line takes half of it."""
_SMALL_BYTES = 16 << 10
"""Taken apart in less time than a thread takes to begin."""
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="bodies")
"""Of large ones no more are unpacked at once: what they take of memory and processors is bounded."""
_Result = TypeVar("_Result")


async def read_body(receive: Receive, most: int = MAX_BYTES) -> bytes:
    """The whole of a body. Raises InvalidQuestionError (too large), SlowBodyError, ClientGoneError."""
    body = bytearray()
    try:
        async with asyncio.timeout(_MAX_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                body += message.get("body", b"")
                if len(body) > most:
                    raise InvalidQuestionError(f"the request is larger than {most} bytes")
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError as error:
        raise SlowBodyError(_MAX_S) from error


async def aside(size: int, work: Callable[[], _Result]) -> _Result:
    """What the work returns; where it is about more than a few bytes, others are answered meanwhile."""
    if size <= _SMALL_BYTES:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
