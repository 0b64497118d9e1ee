"""Whose question is being answered: what the engine is asked meanwhile counts as his (`Storage`, `places.py`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asker:
    user: str
    team: str


ASKER: ContextVar[Asker | None] = ContextVar("asker", default=None)
"""Of this task and of those that it makes; None: the server itself, which waits for no turn."""


@contextlib.contextmanager
def for_everybody() -> Iterator[None]:
    """Work whose result others wait for too: it does not stand in the queue of the user who happened to begin it.
    Enter and leave it in one task."""
    token = ASKER.set(None)
    try:
        yield
    finally:
        ASKER.reset(token)
