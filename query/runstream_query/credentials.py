"""What a caller shows, and who says whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runstream_common.control.auth import Authenticator
from runstream_common.control.errors import AuthenticationError
from runstream_common.control.store import Principal


@dataclass(frozen=True, slots=True)
class Credential:
    scheme: str
    """`key`: an API key; `session`: a session's token. Each has an authenticator."""
    secret: str


class Authenticators:
    """One for each scheme of credential. Logins of other kinds (passwords, OIDC) open sessions, and need none."""

    def __init__(self, by_scheme: Mapping[str, Authenticator]) -> None:
        self._by_scheme = dict(by_scheme)

    async def authenticate(self, credential: Credential) -> Principal:
        """Raises AuthenticationError, ControlUnavailableError."""
        source = self._by_scheme.get(credential.scheme)
        if source is None:
            raise AuthenticationError
        return await source.authenticate(credential.secret)


def bearer(value: str | bytes | None) -> Credential:
    """The API key of an authorization header; an empty one where there is none."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value or ""
    scheme, _, token = text.partition(" ")
    return Credential("key", token.strip() if scheme.lower() == "bearer" else "")
