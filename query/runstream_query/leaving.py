"""Work for a client that may leave: it ends with the client, and so does the query that it waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

from runstream_query.errors import ClientGoneError

_Result = TypeVar("_Result")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, _Result]) -> _Result:
    """The result of the work; call it when the request's body has been read. Raises ClientGoneError when the client
    leaves before: the work is cancelled then."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def quiet_departures() -> None:
    """grpc's asyncio server logs a traceback for each client that leaves while a message is on its way to it."""
    logger = logging.getLogger("grpc._cython.cygrpc")
    if not any(isinstance(known, _Departures) for known in logger.filters):
        logger.addFilter(_Departures())


class _Departures(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("ExecuteBatchError raised in core")
