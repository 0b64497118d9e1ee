"""Runs work for a client that may leave: the work and the query that it waits for end with the client."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from runstream_common.service import disconnects
from runstream_common.service.disconnects import Receive
from runstream_query.base.errors import ClientGoneError

_Result = TypeVar("_Result")
__all__ = ["Receive", "quiet_departures", "unless_gone"]


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return the result of the work. Call it after the body of the request has been read.

    Raises ClientGoneError when the client leaves first: the work is cancelled then.
    """
    return await disconnects.unless_gone(receive, work, ClientGoneError)


def quiet_departures() -> None:
    """Drop the traceback that grpc's asyncio server logs for each client that leaves while a message is sent to it."""
    logger = logging.getLogger("grpc._cython.cygrpc")
    if not any(isinstance(known, _Departures) for known in logger.filters):
        logger.addFilter(_Departures())


class _Departures(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("ExecuteBatchError raised in core")
