"""Authentication with a cache, so that the database is not asked for every batch."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from typing import Protocol

from runstream_control.errors import AuthenticationError
from runstream_control.principal import Principal

_MAX_ENTRIES = 10_000


class Authenticator(Protocol):
    """Tells to whom a secret (an API key, a session's token) belongs. Passwords and OIDC would open sessions."""

    async def authenticate(self, secret: str, /) -> Principal:
        """Return the owner of the secret. Raise AuthenticationError or ControlUnavailableError."""


class CachedAuthenticator:
    """Remember answers for `ttl_s` seconds: a revoked key works that much longer at most. The size is bounded.

    Secrets are remembered by their SHA-256, so that no secret stays in memory longer than its request.
    """

    def __init__(self, source: Authenticator, ttl_s: float = 10.0) -> None:
        self._source = source
        self._ttl_s = ttl_s
        self._known: OrderedDict[bytes, tuple[float, Principal | None]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Principal | None]] = {}

    async def authenticate(self, secret: str) -> Principal:
        """Return the owner of the secret. Raise AuthenticationError or ControlUnavailableError."""
        if len(secret) > 256:
            raise AuthenticationError
        name = _name(secret)
        until, principal = self._known.get(name, (0.0, None))
        if until <= time.monotonic():
            principal = await self._fresh(name, secret)
        if principal is None:
            raise AuthenticationError
        return principal

    def forget(self, secret: str) -> None:
        """Forget the answer for this secret: the next call asks the source again."""
        self._known.pop(_name(secret), None)
        self._asking.pop(_name(secret), None)

    async def _fresh(self, name: bytes, secret: str) -> Principal | None:
        """Ask the source once for all callers that bring the same secret at the same time.

        Two hundred agents of a sweep have one key.
        """
        if name not in self._asking:
            self._asking[name] = asyncio.create_task(self._ask(secret))
            self._asking[name].add_done_callback(lambda done: self._remember(name, done))
        return await asyncio.shield(self._asking[name])

    def _remember(self, name: bytes, done: asyncio.Task[Principal | None]) -> None:
        failed = done.cancelled() or done.exception() is not None
        if self._asking.get(name) is not done:  # `forget` was called meanwhile
            return
        del self._asking[name]
        if failed:
            return
        self._known[name] = (time.monotonic() + self._ttl_s, done.result())
        self._known.move_to_end(name)
        while len(self._known) > _MAX_ENTRIES:
            self._known.popitem(last=False)

    async def _ask(self, secret: str) -> Principal | None:
        try:
            return await self._source.authenticate(secret)
        except AuthenticationError:
            return None


def _name(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
