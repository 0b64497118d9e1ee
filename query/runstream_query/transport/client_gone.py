"""Runs work for a client that may leave: the work and the query that it waits for end with the client."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from runstream_common.service import disconnects
from runstream_common.service.disconnects import Receive
from runstream_query.base.errors import ClientGoneError

_Result = TypeVar("_Result")
__all__ = ["Receive", "unless_gone"]


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return the result of the work. Call it after the body of the request has been read.

    Raises ClientGoneError when the client leaves first: the work is cancelled then.
    """
    return await disconnects.unless_gone(receive, work, ClientGoneError)
