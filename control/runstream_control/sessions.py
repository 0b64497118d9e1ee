"""Sessions of the page: a browser sends a token of its own, not an API key. Only hashes are stored."""

from __future__ import annotations

import re
import secrets
from typing import Any

import structlog
from sqlalchemy import Connection, delete, insert, select

from runstream_common.times import now_us
from runstream_control import api_keys, core_tables
from runstream_control.database import Database, in_thread
from runstream_control.errors import AuthenticationError, LinkError, NotFoundError
from runstream_control.principal import Principal, principal_of

LOG = structlog.get_logger()
_SESSION_FORM = re.compile(r"rw_[A-Za-z0-9_-]{43}")
_LINK_FORM = re.compile(r"rl_[A-Za-z0-9_-]{43}")
LINK_LIFETIME_S = 3600.0
"""An hour covers a slow start of the server. The link opens one session, and its user can revoke the key."""


class SessionStore(Database):
    """Sessions and one-time links in the control database: every instance of the query service knows them."""

    @in_thread
    def create_link(self, key_prefix: str, lifetime_s: float) -> str:
        """Return a token that opens one session for this key's user. Raise NotFoundError."""
        token = f"rl_{secrets.token_urlsafe(32)}"
        with self._engine.begin() as connection:
            if _living_key(connection, key_prefix) is None:
                raise NotFoundError(f"there is no API key {key_prefix!r} that is valid: see `runstream key list`")
            row = {"sha256": api_keys.digest(token), "key_prefix": key_prefix, "expires_us": _after(lifetime_s)}
            connection.execute(insert(core_tables.login_links).values(**row))
        return token

    @in_thread
    def open_by_key(self, api_key: str, lifetime_s: float) -> str:
        """Return the token of a new session for the owner of this key. Raise AuthenticationError."""
        prefix = api_keys.prefix_of(api_key)
        with self._engine.begin() as connection:
            row = _living_key(connection, prefix) if prefix else None
            if row is None or not api_keys.matches(api_key, row.sha256):
                LOG.info("login failed", prefix=prefix)
                raise AuthenticationError
            return _open(connection, row, lifetime_s, "key")

    @in_thread
    def open_by_link(self, link: str, lifetime_s: float) -> str:
        """Return a session's token, and use the link up. Raise LinkError when the link is unknown, used or expired."""
        if not _LINK_FORM.fullmatch(link):
            raise LinkError
        with self._engine.begin() as connection:
            prefix = connection.execute(
                delete(core_tables.login_links)
                .where(
                    core_tables.login_links.c.sha256 == api_keys.digest(link),
                    core_tables.login_links.c.expires_us > now_us(),
                )
                .returning(core_tables.login_links.c.key_prefix)
            ).scalar_one_or_none()
            row = _living_key(connection, prefix) if prefix else None
            if row is None:
                LOG.info("login failed", why="link unknown, used or expired")
                raise LinkError
            return _open(connection, row, lifetime_s, "link")

    @in_thread
    def authenticate(self, token: str) -> Principal:
        """Return the user of a session.

        Raise AuthenticationError when the session has expired or its key is not valid any more.
        """
        if not _SESSION_FORM.fullmatch(token):
            raise AuthenticationError
        with self._engine.connect() as connection:
            prefix = connection.execute(
                select(core_tables.sessions.c.key_prefix).where(
                    core_tables.sessions.c.sha256 == api_keys.digest(token),
                    core_tables.sessions.c.expires_us > now_us(),
                )
            ).scalar_one_or_none()
            row = _living_key(connection, prefix) if prefix else None
            if row is None:
                raise AuthenticationError
            return principal_of(connection, row)

    @in_thread
    def end(self, token: str) -> None:
        """Log out. A session that does not exist has ended already."""
        with self._engine.begin() as connection:
            connection.execute(
                delete(core_tables.sessions).where(core_tables.sessions.c.sha256 == api_keys.digest(token))
            )


def _living_key(connection: Connection, prefix: str) -> Any:
    row = connection.execute(select(core_tables.api_keys).where(core_tables.api_keys.c.prefix == prefix)).one_or_none()
    if row is None or row.revoked or (row.expires_us is not None and row.expires_us <= now_us()):
        return None
    return row


def _open(connection: Connection, key: Any, lifetime_s: float, way: str) -> str:
    """Open a session and return its token. Also delete what has expired: no other call does."""
    now = now_us()
    connection.execute(delete(core_tables.sessions).where(core_tables.sessions.c.expires_us <= now))
    connection.execute(delete(core_tables.login_links).where(core_tables.login_links.c.expires_us <= now))
    token = f"rw_{secrets.token_urlsafe(32)}"
    row = {
        "sha256": api_keys.digest(token),
        "user": key.user,
        "key_prefix": key.prefix,
        "created_us": now,
        "expires_us": _after(lifetime_s),
    }
    connection.execute(insert(core_tables.sessions).values(**row))
    LOG.info("logged in", user=key.user, key_prefix=key.prefix, way=way)
    return token


def _after(lifetime_s: float) -> int:
    return now_us() + int(lifetime_s * 1e6)


def login_address(base_url: str, link: str) -> str:
    """Return the address of a login link. The token follows the #, which no server, proxy or log sees."""
    return f"{base_url.rstrip('/')}/login#{link}"
