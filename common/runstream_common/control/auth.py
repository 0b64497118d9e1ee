"""Authentication that does not ask the database for every batch."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict

from runstream_common.control.errors import AuthenticationError
from runstream_common.control.store import ControlStore, Principal

_MAX_ENTRIES = 10_000


class CachedAuthenticator:
    """Remembers answers for `ttl_s`: a revoked key works that much longer at most. Bounded in size.

    Keys are remembered by their SHA-256, so that no secret lies in memory longer than its request.
    """

    def __init__(self, store: ControlStore, ttl_s: float = 10.0) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._known: OrderedDict[bytes, tuple[float, Principal | None]] = OrderedDict()

    async def authenticate(self, api_key: str) -> Principal:
        """Raises AuthenticationError, ControlUnavailableError."""
        if len(api_key) > 256:
            raise AuthenticationError
        name = hashlib.sha256(api_key.encode("utf-8", "replace")).digest()
        until, principal = self._known.get(name, (0.0, None))
        if until <= time.monotonic():
            principal = await self._ask(api_key)
            self._known[name] = (time.monotonic() + self._ttl_s, principal)
            self._known.move_to_end(name)
            while len(self._known) > _MAX_ENTRIES:
                self._known.popitem(last=False)
        if principal is None:
            raise AuthenticationError
        return principal

    async def _ask(self, api_key: str) -> Principal | None:
        try:
            return await self._store.authenticate(api_key)
        except AuthenticationError:
            return None
