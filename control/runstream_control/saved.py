"""Saved views and reports: their owners, who may see them, and their versions.

The contents are texts; only the page knows what they mean.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from runstream_common.times import now_us
from runstream_control.audit import note
from runstream_control.database import Database, in_thread
from runstream_control.errors import (
    LimitReachedError,
    NotFoundError,
    PermissionDeniedError,
    StaleVersionError,
)
from runstream_control.principal import Principal, check_writable
from runstream_control.saved_tables import saved

MOST = 1000
"""The most saved objects of a project, of all kinds: the page, and people, read the whole list."""
KEPT_US = 30 * 86_400 * 1_000_000
"""How long a deleted object can be restored."""


@dataclass(frozen=True, slots=True)
class SavedRow:
    team: str
    project: str
    id: str
    kind: str
    """charts, table or report"""
    name: str
    content: str
    shared: bool
    owner: str
    version: int
    created_us: int
    updated_us: int
    updated_by: str
    deleted_us: int
    """When it was deleted; 0 where it is not."""


_LISTED = [column for column in saved.c if column.name != "content"]


class SavedStore(Database):
    """Store saved views and reports. All methods raise ControlError.

    They raise NotFoundError also for the private objects of another user, and PermissionDeniedError when the caller may
    not write to the team.
    """

    @in_thread
    def find(
        self, principal: Principal, *, team: str, project: str, kind: str = "", deleted: bool = False
    ) -> list[SavedRow]:
        """Return the saved objects by name, without their content.

        An empty `kind` selects all kinds. `deleted` selects instead the deleted objects that can be restored.
        """
        where = [*_seen(principal, team, project), saved.c.deleted_us > _forgotten() if deleted else _living()]
        if kind:
            where.append(saved.c.kind == kind)
        with self._engine.connect() as connection:
            rows = connection.execute(select(*_LISTED).where(*where).order_by(saved.c.name, saved.c.id))
            return [SavedRow(content="", **row._mapping) for row in rows]

    @in_thread
    def get(self, principal: Principal, *, team: str, project: str, id: str) -> SavedRow:
        """Return an object, also a deleted one as long as it can be restored. Raise NotFoundError."""
        with self._engine.connect() as connection:
            return _get(connection, principal, team, project, id)

    @in_thread
    def create(
        self,
        principal: Principal,
        *,
        team: str,
        project: str,
        kind: str,
        name: str,
        content: str,
        shared: bool,
        id: str = "",
    ) -> SavedRow:
        """Save a new object, under the caller's `id` where one is given.

        An id that exists already makes nothing new: the existing object is returned. Raise LimitReachedError, or
        StaleVersionError where the id is taken by an object that the caller cannot see.
        """
        check_writable(principal, team)
        now = now_us()
        with self._engine.begin() as connection:
            connection.execute(delete(saved).where(saved.c.deleted_us > 0, saved.c.deleted_us < _forgotten()))
            same = (saved.c.team == team, saved.c.project == project, saved.c.id == id)
            if id and connection.execute(select(saved.c.id).where(*same)).first():
                try:
                    return _get(connection, principal, team, project, id)
                except NotFoundError:
                    raise StaleVersionError(f"the id {id!r} is taken: choose another, or none") from None
            of_project = (saved.c.team == team, saved.c.project == project, _living())
            count = connection.execute(select(func.count()).select_from(saved).where(*of_project)).scalar_one()
            if count >= MOST:
                raise LimitReachedError(f"{team}/{project} has {MOST} saved views and reports: delete some first")
            row = SavedRow(
                team=team,
                project=project,
                id=id or secrets.token_urlsafe(9),
                kind=kind,
                name=name,
                content=content,
                shared=shared,
                owner=principal.user,
                version=1,
                created_us=now,
                updated_us=now,
                updated_by=principal.user,
                deleted_us=0,
            )
            connection.execute(insert(saved).values({column: getattr(row, column.name) for column in saved.c}))
            _note(connection, principal, row, {"created": True, "name": name, "shared": shared})
            return row

    @in_thread
    def update(
        self,
        principal: Principal,
        *,
        team: str,
        project: str,
        id: str,
        version: int | None,
        change: Mapping[str, object],
    ) -> SavedRow:
        """Change name, content or sharing of an object.

        `version` is the version that the caller read; None accepts any. Raise StaleVersionError when the object was
        changed or deleted since then, PermissionDeniedError when only the owner may make this change.
        """
        check_writable(principal, team)
        with self._engine.begin() as connection:
            row = _get(connection, principal, team, project, id)
            if row.deleted_us:
                raise StaleVersionError(f"{row.name!r} was deleted: restore it first")
            if change.get("shared", row.shared) != row.shared and row.owner != principal.user:
                raise PermissionDeniedError(f"{row.name!r} belongs to {row.owner}: only its owner may hide it")
            where = [saved.c.team == team, saved.c.project == project, saved.c.id == id, _living()]
            if version is not None:
                where.append(saved.c.version == version)
            values = {**change, "version": saved.c.version + 1, "updated_us": now_us(), "updated_by": principal.user}
            done = connection.execute(update(saved).where(*where).values(values))
            row = _get(connection, principal, team, project, id)
            if done.rowcount != 1:
                raise StaleVersionError(
                    f"{row.name!r} was changed by {row.updated_by} in the meantime (version {row.version}, yours was "
                    f"made from {version}): read it again, or save yours as a copy"
                )
            _note(connection, principal, row, {**change, "version": row.version})
            return row

    @in_thread
    def delete(self, principal: Principal, *, team: str, project: str, id: str) -> None:
        """Delete an object. To repeat it does no harm."""
        self._set_deleted(principal, team, project, id, True)

    @in_thread
    def restore(self, principal: Principal, *, team: str, project: str, id: str) -> SavedRow:
        """Restore a deleted object. To repeat it does no harm."""
        return self._set_deleted(principal, team, project, id, False)

    def _set_deleted(self, principal: Principal, team: str, project: str, id: str, dead: bool) -> SavedRow:
        check_writable(principal, team)
        with self._engine.begin() as connection:
            row = _get(connection, principal, team, project, id)
            if bool(row.deleted_us) != dead:
                where = (saved.c.team == team, saved.c.project == project, saved.c.id == id)
                connection.execute(update(saved).where(*where).values(deleted_us=now_us() if dead else 0))
                _note(connection, principal, row, {"deleted": True} if dead else {"restored": True})
            return _get(connection, principal, team, project, id)


def _seen(principal: Principal, team: str, project: str) -> list[ColumnElement[bool]]:
    """Return the condition for rows that the caller may see. The caller checks that the team may be read."""
    mine = or_(saved.c.shared, saved.c.owner == principal.user)
    return [saved.c.team == team, saved.c.project == project, mine]


def _living() -> ColumnElement[bool]:
    return saved.c.deleted_us == 0


def _forgotten() -> int:
    """Return the time before which a deletion is final."""
    return now_us() - KEPT_US


def _get(connection: Connection, principal: Principal, team: str, project: str, id: str) -> SavedRow:
    alive = or_(_living(), saved.c.deleted_us > _forgotten())
    row = connection.execute(
        select(saved).where(*_seen(principal, team, project), saved.c.id == id, alive)
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no view or report {id[:40]!r} in {team}/{project} that you can see")
    return SavedRow(**row._mapping)


def _note(connection: Connection, principal: Principal, row: SavedRow, change: Mapping[str, object]) -> None:
    what = "report" if row.kind == "report" else "view"
    note(connection, principal, row.team, row.project, what, {row.id: 0}, change)
