"""Questions to the control database: who has which rights, and which attempts of runs exist."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from runstream_common.identity import InvalidNameError as BadName
from runstream_common.identity import check_name, check_writer_id
from runstream_common.times import now_us
from runstream_control import api_keys, core_tables, saved_tables, sweep_tables
from runstream_control.audit import note
from runstream_control.backups import epochs_before
from runstream_control.database import Database, in_thread
from runstream_control.errors import (
    AuthenticationError,
    NotFoundError,
    RefusedNameError,
    RunDeletedError,
    RunExistsError,
    RunMissingError,
)
from runstream_control.principal import Principal, Role, check_admin, check_writable, principal_of

LOG = structlog.get_logger()


class Resume(enum.StrEnum):
    ALLOW = "allow"
    NEVER = "never"
    MUST = "must"


@dataclass(frozen=True, slots=True)
class StreamBinding:
    team: str
    epoch: int
    run_created_us: int
    new_run: bool


@dataclass(frozen=True, slots=True)
class ProjectRow:
    team: str
    project: str
    created_us: int
    retention_days: int = 0
    description: str = ""
    """Markdown"""


@dataclass(frozen=True, slots=True)
class DeletedRun:
    run: str
    epoch: int
    """The run's attempts up to this epoch are deleted."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    prefix: str
    user: str
    default_team: str
    created_us: int
    revoked: bool


class ControlStore(Database):
    """A store for one event loop; several processes may use one database."""

    # Authentication

    @in_thread
    def authenticate(self, api_key: str) -> Principal:
        """Return the owner of an API key. Raise AuthenticationError."""
        prefix = api_keys.prefix_of(api_key)
        if prefix is None:
            LOG.info("authentication failed", why="not the form of a key")
            raise AuthenticationError
        with self._engine.connect() as connection:
            row = connection.execute(
                select(core_tables.api_keys).where(core_tables.api_keys.c.prefix == prefix)
            ).one_or_none()
            if row is None or not api_keys.matches(api_key, row.sha256):
                LOG.info("authentication failed", why="unknown key", prefix=prefix)
                raise AuthenticationError
            if row.revoked or (row.expires_us is not None and row.expires_us <= now_us()):
                LOG.info("authentication failed", why="revoked or expired", prefix=prefix)
                raise AuthenticationError
            return principal_of(connection, row)

    # Runs

    @in_thread
    def bind_stream(
        self,
        principal: Principal,
        *,
        team: str,
        project: str,
        run: str,
        writer_id: str,
        rank: int,
        resume: Resume,
    ) -> StreamBinding:
        """Bind (run, writer) to an epoch, durably: the same pair gets the same epoch ever after.

        Make project and run where they do not exist. Epochs of a run grow in the order of first binding. Raise
        RefusedNameError, PermissionDeniedError, RunExistsError (resume is never, and the run has a stream of this rank
        already), RunMissingError (resume is must), or RunDeletedError (the run was deleted since this writer began).
        """
        team = team or principal.default_team
        _check_names(team, project, run, writer_id)
        check_writable(principal, team)
        with self._engine.begin() as connection:
            now = now_us()
            row, new_run = self._run_row(connection, principal, team, project, run, now, resume, writer_id)
            found = connection.execute(
                select(core_tables.streams.c.epoch).where(
                    core_tables.streams.c.run_id == row.id, core_tables.streams.c.writer_id == writer_id
                )
            ).scalar_one_or_none()
            if found is not None:
                if found <= row.deleted_epoch:
                    raise _deleted(team, project, run)
                return StreamBinding(team, found, row.created_us, False)
            if resume is Resume.NEVER and not new_run and self._rank_is_taken(connection, row, rank):
                raise RunExistsError(
                    f"the run {run!r} exists in {team}/{project}: choose another id, or resume='allow' to continue it"
                )
            epoch = connection.execute(
                update(core_tables.runs)
                .where(core_tables.runs.c.id == row.id)
                .values(last_epoch=core_tables.runs.c.last_epoch + 1)
                .returning(core_tables.runs.c.last_epoch)
            ).scalar_one()
            connection.execute(
                insert(core_tables.streams).values(
                    run_id=row.id, writer_id=writer_id, epoch=epoch, rank=rank, created_us=now
                )
            )
            return StreamBinding(team, epoch, row.created_us, new_run)

    @in_thread
    def check_living(self, *, team: str, project: str, run: str, epoch: int) -> None:
        """Raise RunDeletedError when this attempt of the run was deleted."""
        where = _of_run(team, project, run)
        with self._engine.connect() as connection:
            last_dead = connection.execute(select(core_tables.runs.c.deleted_epoch).where(*where)).scalar_one_or_none()
        if last_dead is not None and epoch <= last_dead:
            raise _deleted(team, project, run)

    # Deletion

    @in_thread
    def delete_runs(
        self, principal: Principal, *, team: str, project: str, runs: Sequence[str] | None
    ) -> list[DeletedRun]:
        """Mark all present attempts of these runs as deleted; None selects all runs of the project.

        To repeat it does no harm. Raise PermissionDeniedError, or NotFoundError that names a missing run.
        """
        check_writable(principal, team)
        return self._delete_runs(principal, team, project, runs)

    def _delete_runs(
        self, principal: Principal, team: str, project: str, runs: Sequence[str] | None
    ) -> list[DeletedRun]:
        where = [core_tables.runs.c.team == team, core_tables.runs.c.project == project]
        if runs is not None:
            where.append(core_tables.runs.c.run.in_(runs))
        with self._engine.begin() as connection:
            found = list(
                connection.execute(select(core_tables.runs.c.run, core_tables.runs.c.last_epoch).where(*where))
            )
            missing = set(runs or ()) - {row.run for row in found}
            if missing:
                raise NotFoundError(f"there is no run {min(missing)!r} in {team}/{project}")
            connection.execute(
                update(core_tables.runs).where(*where).values(deleted_epoch=core_tables.runs.c.last_epoch)
            )
            if runs is not None:
                epochs = {row.run: row.last_epoch for row in found}
                note(connection, principal, team, project, "run", epochs, {"deleted": True})
            return [DeletedRun(row.run, row.last_epoch) for row in found]

    @in_thread
    def last_epoch(self, principal: Principal, *, team: str, project: str, run: str) -> int:
        """Return the last epoch of a run that the caller may write to. Raise PermissionDeniedError, NotFoundError."""
        check_writable(principal, team)
        where = _of_run(team, project, run)
        with self._engine.connect() as connection:
            found = connection.execute(select(core_tables.runs.c.last_epoch).where(*where)).scalar_one_or_none()
        if found is None:
            raise NotFoundError(f"there is no run {run!r} in {team}/{project}")
        return int(found)

    @in_thread
    def delete_project(self, principal: Principal, *, team: str, project: str) -> list[DeletedRun]:
        """Mark all runs of the project as deleted, and forget the project. Raise PermissionDeniedError."""
        check_admin(principal, team)
        deleted = self._delete_runs(principal, team, project, None)
        with self._engine.begin() as connection:
            connection.execute(
                delete(core_tables.projects).where(
                    core_tables.projects.c.team == team, core_tables.projects.c.project == project
                )
            )
            for table in saved_tables.ALL:
                connection.execute(delete(table).where(table.c.team == team, table.c.project == project))
            of_project = (sweep_tables.sweeps.c.team == team, sweep_tables.sweeps.c.project == project)
            for table in sweep_tables.ALL:
                which = table.c.id if table is sweep_tables.sweeps else table.c.sweep
                connection.execute(delete(table).where(which.in_(select(sweep_tables.sweeps.c.id).where(*of_project))))
        return deleted

    @in_thread
    def set_retention(self, principal: Principal, *, team: str, project: str, days: int) -> int:
        """Set the days of retention, and return the earlier value. Raise PermissionDeniedError or NotFoundError."""
        check_admin(principal, team)
        where = (core_tables.projects.c.team == team, core_tables.projects.c.project == project)
        with self._engine.begin() as connection:
            before = connection.execute(
                select(core_tables.projects.c.retention_days).where(*where)
            ).scalar_one_or_none()
            if before is None:
                raise NotFoundError(f"there is no project {project!r} in {team}")
            connection.execute(update(core_tables.projects).where(*where).values(retention_days=days))
            return int(before)

    @in_thread
    def projects_with_retention(self) -> list[ProjectRow]:
        """Return the projects that have a retention. The janitor calls this, so no rights are checked."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(core_tables.projects).where(core_tables.projects.c.retention_days > 0))
            return [ProjectRow(row.team, row.project, row.created_us, row.retention_days) for row in rows]

    @in_thread
    def expire_runs(self, team: str, project: str, expired: Sequence[DeletedRun]) -> list[DeletedRun]:
        """Mark these attempts as deleted, for the janitor. An attempt that began meanwhile lives.

        Return the last dead epoch of each run. Where no attempt began meanwhile, changes that people made after the
        last attempt are dead, too.
        """
        dead = []
        with self._engine.begin() as connection:
            for run in expired:
                where = _of_run(team, project, run.run)
                row = connection.execute(select(core_tables.runs).where(*where)).one_or_none()
                if row is None:
                    continue
                later = (core_tables.streams.c.run_id == row.id, core_tables.streams.c.epoch > run.epoch)
                began = connection.execute(select(core_tables.streams.c.epoch).where(*later).limit(1)).first()
                epoch = run.epoch if began else max(row.last_epoch, run.epoch)
                connection.execute(
                    update(core_tables.runs)
                    .where(
                        *where,
                        core_tables.runs.c.deleted_epoch < epoch,
                        core_tables.runs.c.last_epoch == row.last_epoch,
                    )
                    .values(deleted_epoch=epoch)
                )
                dead.append(DeletedRun(run.run, epoch))
        return dead

    async def writable_project(self, principal: Principal, *, team: str, project: str) -> str:
        """Return the team, filled in, when the caller may write to the project.

        Raise RefusedNameError or PermissionDeniedError.
        """
        team = team or principal.default_team
        _check_names(team, project)
        check_writable(principal, team)
        return team

    @in_thread
    def projects(self, principal: Principal, team: str | None = None) -> list[ProjectRow]:
        """Return the projects of the caller's teams, or of `team` alone (none where the caller cannot read it)."""
        wanted = [name for name in principal.roles if team in (None, "", name)]
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(core_tables.projects).where(core_tables.projects.c.team.in_(wanted)).order_by("team", "project")
            )
            return [
                ProjectRow(row.team, row.project, row.created_us, row.retention_days, row.description) for row in rows
            ]

    # Administration

    @in_thread
    def bootstrap(self, team: str, user: str) -> str | None:
        """Make the first team, user and key. Return the key, or None when there are keys already."""
        with self._engine.begin() as connection:
            if connection.execute(select(core_tables.api_keys.c.prefix).limit(1)).first():
                return None
            _ensure_member(connection, user, team, Role.ADMIN)
            return _add_key(connection, user, team)

    @in_thread
    def create_api_key(self, user: str, team: str, role: Role = Role.MEMBER) -> str:
        """Return a new key of a user in a team, and make both where they do not exist. The key is not shown again."""
        _check_names(team)
        _check_names(user)
        with self._engine.begin() as connection:
            _ensure_member(connection, user, team, role)
            return _add_key(connection, user, team)

    @in_thread
    def revoke_api_key(self, prefix: str) -> None:
        """Revoke a key. Raise NotFoundError."""
        with self._engine.begin() as connection:
            done = connection.execute(
                update(core_tables.api_keys)
                .where(core_tables.api_keys.c.prefix == prefix)
                .values(revoked=True, revoked_us=now_us())
            )
            if done.rowcount != 1:
                raise NotFoundError(f"there is no API key {prefix!r}: see `runstream key list`")

    @in_thread
    def list_keys(self) -> list[KeyRow]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(core_tables.api_keys).order_by(core_tables.api_keys.c.created_us))
            return [KeyRow(r.prefix, r.user, r.default_team, r.created_us, r.revoked) for r in rows]

    def _run_row(
        self,
        connection: Connection,
        principal: Principal,
        team: str,
        project: str,
        run: str,
        now: int,
        resume: Resume,
        writer_id: str,
    ) -> tuple[Any, bool]:
        where = _of_run(team, project, run)
        row = connection.execute(select(core_tables.runs).where(*where)).one_or_none()
        was_deleted = row is not None and row.deleted_epoch >= row.last_epoch > 0
        if row is not None and not was_deleted:
            return row, False
        if row is not None and self._is_bound(connection, row.id, writer_id):
            return row, False  # a stream of the deleted run, which the caller will send away
        if resume is Resume.MUST:
            raise RunMissingError(
                f"there is no run {run!r} in {team}/{project} to resume: check the id, or resume='allow'"
            )
        known = select(core_tables.projects.c.project).where(
            core_tables.projects.c.team == team, core_tables.projects.c.project == project
        )
        if connection.execute(known).first() is None:
            connection.execute(
                insert(core_tables.projects).values(
                    team=team, project=project, created_us=now, created_by=principal.user
                )
            )
        if was_deleted:
            connection.execute(
                update(core_tables.runs).where(*where).values(created_us=now, created_by=principal.user)
            )  # the epochs go on, so that deleted rows stay below them
        else:
            connection.execute(
                insert(core_tables.runs).values(
                    team=team,
                    project=project,
                    run=run,
                    created_us=now,
                    created_by=principal.user,
                    last_epoch=epochs_before(connection),
                )
            )
        return connection.execute(select(core_tables.runs).where(*where)).one(), True

    @staticmethod
    def _is_bound(connection: Connection, run_id: int, writer_id: str) -> bool:
        bound = (core_tables.streams.c.run_id == run_id, core_tables.streams.c.writer_id == writer_id)
        return connection.execute(select(core_tables.streams.c.epoch).where(*bound)).first() is not None

    @staticmethod
    def _rank_is_taken(connection: Connection, run: Any, rank: int) -> bool:
        taken = select(core_tables.streams.c.epoch).where(
            core_tables.streams.c.run_id == run.id,
            core_tables.streams.c.rank == rank,
            core_tables.streams.c.epoch > run.deleted_epoch,
        )
        return connection.execute(taken.limit(1)).first() is not None


def _of_run(team: str, project: str, run: str) -> tuple[ColumnElement[bool], ...]:
    return core_tables.runs.c.team == team, core_tables.runs.c.project == project, core_tables.runs.c.run == run


def _check_names(team: str, project: str | None = None, run: str | None = None, writer_id: str | None = None) -> None:
    try:
        check_name("team", team)
        if project is not None:
            check_name("project", project)
        if run is not None:
            check_name("run", run)
        if writer_id is not None:
            check_writer_id(writer_id)
    except BadName as error:
        raise RefusedNameError(str(error)) from error


def _deleted(team: str, project: str, run: str) -> RunDeletedError:
    return RunDeletedError(f"the run {run!r} of {team}/{project} was deleted: what is left of it is dropped")


def _ensure_member(connection: Connection, user: str, team: str, role: Role) -> None:
    now = now_us()
    for table, name in ((core_tables.users, user), (core_tables.teams, team)):
        if connection.execute(select(table.c.name).where(table.c.name == name)).first() is None:
            connection.execute(insert(table).values(name=name, created_us=now))
    members = core_tables.memberships
    if connection.execute(select(members).where(members.c.user == user, members.c.team == team)).first() is None:
        connection.execute(insert(members).values(user=user, team=team, role=role.value))


def _add_key(connection: Connection, user: str, team: str) -> str:
    api_key, prefix = api_keys.new_key()
    connection.execute(
        insert(core_tables.api_keys).values(
            prefix=prefix,
            sha256=api_keys.digest(api_key),
            user=user,
            default_team=team,
            created_us=now_us(),
            revoked=False,
        )
    )
    return api_key
