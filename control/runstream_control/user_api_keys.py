"""The API keys of a user: the user lists, makes and ends them, with one of these keys or a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, delete, func, insert, select, update

from runstream_common.times import now_us
from runstream_control import api_keys as keys
from runstream_control import core_tables
from runstream_control.database import Database, in_thread
from runstream_control.errors import AuthenticationError, NotFoundError, PermissionDeniedError
from runstream_control.principal import Principal

LOG = structlog.get_logger()
MAX_VALID_KEYS = 200
"""The most valid keys of a user.

One for each machine and job fits; a loop that makes keys ends before the table is full.
"""


@dataclass(frozen=True, slots=True)
class UserApiKey:
    prefix: str
    name: str
    default_team: str
    created_us: int
    expires_us: int | None
    revoked: bool
    revoked_us: int | None
    made_by: str
    """The prefix of the key with which it was made; empty for a key that was made on the server."""

    def is_valid(self, at_us: int) -> bool:
        return not self.revoked and (self.expires_us is None or self.expires_us > at_us)


class UserApiKeys(Database):
    """Manage the caller's own keys; no method touches a key of another user. The log names who changed what."""

    @in_thread
    def list(self, principal: Principal) -> list[UserApiKey]:
        """Return all keys that the caller ever had, newest first."""
        mine = core_tables.api_keys.c.user == principal.user
        order = (core_tables.api_keys.c.created_us.desc(), core_tables.api_keys.c.prefix)
        with self._engine.connect() as connection:
            return [_own(row) for row in connection.execute(select(core_tables.api_keys).where(mine).order_by(*order))]

    @in_thread
    def create(
        self, principal: Principal, *, name: str, default_team: str, lifetime_s: float
    ) -> tuple[str, UserApiKey]:
        """Return the secret of a new key, and its row.

        The new key never outlives the caller's key; `lifetime_s` 0 lets it last as long. Raise AuthenticationError when
        the caller's key has ended since it was checked, PermissionDeniedError when the caller is not a member of the
        team or has too many keys.
        """
        now = now_us()
        secret, prefix = keys.new_key()
        with self._engine.begin() as connection:
            shown = _shown_key(connection, principal, now)
            _check_room(connection, principal, default_team, now)
            ends = [shown.expires_us, now + int(lifetime_s * 1e6) if lifetime_s else None]
            row: dict[str, Any] = {
                "prefix": prefix,
                "sha256": keys.digest(secret),
                "user": principal.user,
                "default_team": default_team,
                "created_us": now,
                "expires_us": min((end for end in ends if end is not None), default=None),
                "revoked": False,
                "revoked_us": None,
                "name": name,
                "made_by": principal.key_prefix,
            }
            connection.execute(insert(core_tables.api_keys).values(**row))
        LOG.info("API key made", user=principal.user, by=principal.key_prefix, prefix=prefix, team=default_team)
        return secret, UserApiKey(**{field: row[field] for field in UserApiKey.__slots__})

    @in_thread
    def revoke(self, principal: Principal, prefix: str) -> UserApiKey:
        """End one of the caller's keys, and the sessions that it opened.

        To repeat it does no harm. Raise NotFoundError.
        """
        where = (core_tables.api_keys.c.prefix == prefix, core_tables.api_keys.c.user == principal.user)
        with self._engine.begin() as connection:
            done = connection.execute(
                update(core_tables.api_keys)
                .where(*where, core_tables.api_keys.c.revoked.is_(False))
                .values(revoked=True, revoked_us=now_us())
            )
            found = connection.execute(select(core_tables.api_keys).where(*where)).one_or_none()
            if found is None:
                raise NotFoundError(f"you have no API key {prefix[:40]!r}")
            for table in (core_tables.sessions, core_tables.login_links):
                connection.execute(delete(table).where(table.c.key_prefix == prefix))
        if done.rowcount:
            LOG.info("API key revoked", user=principal.user, by=principal.key_prefix, prefix=prefix)
        return _own(found)


def _own(row: Any) -> UserApiKey:
    return UserApiKey(**{field: getattr(row, field) for field in UserApiKey.__slots__})


def _shown_key(connection: Connection, principal: Principal, now: int) -> Any:
    """Return the caller's key as it is now: the cache may be some seconds old. Raise AuthenticationError."""
    found = connection.execute(
        select(core_tables.api_keys).where(core_tables.api_keys.c.prefix == principal.key_prefix)
    ).one_or_none()
    if found is None or not _own(found).is_valid(now):
        raise AuthenticationError
    return found


def _check_room(connection: Connection, principal: Principal, team: str, now: int) -> None:
    members, api_keys = core_tables.memberships, core_tables.api_keys
    member = select(members.c.role).where(members.c.user == principal.user, members.c.team == team)
    if connection.execute(member).first() is None:
        raise PermissionDeniedError(f"you are not in the team {team!r}: a key for it would open nothing")
    valid = connection.execute(
        select(func.count())
        .select_from(api_keys)
        .where(
            api_keys.c.user == principal.user,
            api_keys.c.revoked.is_(False),
            (api_keys.c.expires_us.is_(None)) | (api_keys.c.expires_us > now),
        )
    ).scalar_one()
    if valid >= MAX_VALID_KEYS:
        raise PermissionDeniedError(f"you have {valid} valid API keys, the most there can be: revoke some")
