"""Defines the credential that a caller shows, and chooses the authenticator that checks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runstream_control.authenticator import Authenticator
from runstream_control.errors import AuthenticationError
from runstream_control.principal import Principal


@dataclass(frozen=True, slots=True)
class Credential:
    scheme: str
    """`key` for an API key, `session` for the token of a session. Each scheme has an authenticator."""
    secret: str


class Authenticators:
    """Holds one authenticator for each scheme of credential.

    Logins of other kinds (passwords, OIDC) open sessions, so they need no scheme of their own.
    """

    def __init__(self, by_scheme: Mapping[str, Authenticator]) -> None:
        self._by_scheme = dict(by_scheme)

    async def authenticate(self, credential: Credential) -> Principal:
        """Return the principal of a credential. Raises AuthenticationError, ControlUnavailableError."""
        source = self._by_scheme.get(credential.scheme)
        if source is None:
            raise AuthenticationError
        return await source.authenticate(credential.secret)


def bearer(value: str | bytes | None) -> Credential:
    """Return the API key of an authorization header; the key is empty where the header has none."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value or ""
    scheme, _, token = text.partition(" ")
    return Credential("key", token.strip() if scheme.lower() == "bearer" else "")
