"""Holds the user whose request is being answered: queries to the engine count as this user's (see `fair_queue.py`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    user: str
    team: str


CALLER: ContextVar[Caller | None] = ContextVar("asker", default=None)
"""The user of this task and of the tasks that it starts. None: the server itself, which waits for no turn."""


@contextlib.contextmanager
def as_the_server() -> Iterator[None]:
    """Run the block on the server's own account.

    For work whose result several users wait for: it must not stand in the queue of the user who happened to start it.
    Enter and leave the block in one task.
    """
    token = CALLER.set(None)
    try:
        yield
    finally:
        CALLER.reset(token)
