"""Define the authenticated caller, the caller's roles, and what each role permits."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from runstream_control import core_tables
from runstream_control.errors import PermissionDeniedError


class Role(enum.StrEnum):
    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller."""

    user: str
    key_prefix: str
    default_team: str
    roles: Mapping[str, Role] = field(default_factory=dict)
    """The role in each team."""

    def can_read(self, team: str) -> bool:
        return team in self.roles

    def can_write(self, team: str) -> bool:
        return self.roles.get(team) in (Role.MEMBER, Role.ADMIN)

    def can_administer(self, team: str) -> bool:
        return self.roles.get(team) is Role.ADMIN


def principal_of(connection: Connection, key: Any) -> Principal:
    """Return the owner of this row of `api_keys`."""
    members = connection.execute(
        select(core_tables.memberships.c.team, core_tables.memberships.c.role).where(
            core_tables.memberships.c.user == key.user
        )
    )
    return Principal(key.user, key.prefix, key.default_team, {team: Role(role) for team, role in members})


def check_writable(principal: Principal, team: str) -> None:
    """Raise PermissionDeniedError when the caller may not write to the team."""
    if not principal.can_write(team):
        raise PermissionDeniedError(
            f"this API key may not write to the team {team!r}: use a key of a member, or another team"
        )


def check_admin(principal: Principal, team: str) -> None:
    if not principal.can_administer(team):
        raise PermissionDeniedError(f"this API key does not belong to an admin of the team {team!r}: ask one")
