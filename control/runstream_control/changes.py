"""Changes of runs and projects. The noted changes of a run also give the order of its tags."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from sqlalchemy import or_, select, update

from runstream_common.limits import MAX_EPOCH
from runstream_control import core_tables
from runstream_control.audit import TAGS, note
from runstream_control.database import Database, in_thread
from runstream_control.errors import LimitReachedError, NotFoundError
from runstream_control.principal import Principal, check_writable
from runstream_control.saved_tables import changes, saved


@dataclass(frozen=True, slots=True)
class EditedRun:
    run: str
    epoch: int
    """The new epoch. The versions of the rows that this change writes begin with it."""
    created_us: int


class TagChange(TypedDict, total=False):
    """What a change did to the tags of a run, as it was noted: all were replaced, or some were added or removed."""

    tags: list[str]
    add_tags: list[str]
    remove_tags: list[str]


@dataclass(frozen=True, slots=True)
class ChangeRow:
    id: int
    what: str
    subject: str
    user: str
    key_prefix: str
    time_us: int
    change: dict[str, Any]
    """The JSON object that was noted."""


class ChangeStore(Database):
    """Change runs and projects, and list who changed them. All methods raise ControlError."""

    @in_thread
    def edit_runs(
        self, principal: Principal, *, team: str, project: str, runs: Sequence[str], change: Mapping[str, object]
    ) -> list[EditedRun]:
        """Note a change of living runs, and give it an epoch of its own in each run.

        The epoch is higher than all attempts that exist, and lower than those to come. Raise PermissionDeniedError,
        LimitReachedError, or NotFoundError that names a missing run.
        """
        check_writable(principal, team)
        where = (
            core_tables.runs.c.team == team,
            core_tables.runs.c.project == project,
            core_tables.runs.c.run.in_(runs),
        )
        with self._engine.begin() as connection:
            rows = connection.execute(
                update(core_tables.runs)
                .where(*where, core_tables.runs.c.last_epoch > core_tables.runs.c.deleted_epoch)
                .values(last_epoch=core_tables.runs.c.last_epoch + 1)
                .returning(core_tables.runs.c.run, core_tables.runs.c.last_epoch, core_tables.runs.c.created_us)
            ).all()
            missing = set(runs) - {row.run for row in rows}
            if missing:
                raise NotFoundError(f"there is no run {min(missing)!r} in {team}/{project}")
            if any(row.last_epoch > MAX_EPOCH for row in rows):
                raise LimitReachedError(f"a run of {team}/{project} was changed {MAX_EPOCH} times: no more is possible")
            note(connection, principal, team, project, "run", {row.run: row.last_epoch for row in rows}, change)
            return [EditedRun(row.run, row.last_epoch, row.created_us) for row in rows]

    @in_thread
    def tag_changes(
        self, *, team: str, project: str, between: Mapping[str, tuple[int, int]]
    ) -> dict[str, list[TagChange]]:
        """Return the changes of tags by run, oldest first.

        `between` gives for each run the epoch after which changes count, and the last epoch that counts.
        """
        found: dict[str, list[TagChange]] = {run: [] for run in between}
        if not between:
            return found
        after = min(low for low, _ in between.values())
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(changes.c.subject, changes.c.epoch, changes.c.change)
                .where(changes.c.team == team, changes.c.project == project, changes.c.what == "run")
                .where(changes.c.subject.in_(list(between)), changes.c.epoch > after)
                .order_by(changes.c.epoch)
            )
            for subject, epoch, text in rows:
                low, high = between[subject]
                change = json.loads(text)
                if low < epoch <= high and any(key in change for key in TAGS):
                    found[subject].append(change)
        return found

    @in_thread
    def deleted(self, *, team: str, project: str, edited: Sequence[EditedRun]) -> list[EditedRun]:
        """Return those of the edited runs that were deleted since the edit."""
        epochs = {one.run: one.epoch for one in edited}
        where = (
            core_tables.runs.c.team == team,
            core_tables.runs.c.project == project,
            core_tables.runs.c.run.in_(list(epochs)),
        )
        with self._engine.connect() as connection:
            rows = connection.execute(select(core_tables.runs.c.run, core_tables.runs.c.deleted_epoch).where(*where))
            dead = {row.run for row in rows if row.deleted_epoch >= epochs[row.run]}
        return [one for one in edited if one.run in dead]

    @in_thread
    def describe_project(self, principal: Principal, *, team: str, project: str, description: str) -> None:
        """Set the description of a project. Raise PermissionDeniedError or NotFoundError."""
        check_writable(principal, team)
        where = (core_tables.projects.c.team == team, core_tables.projects.c.project == project)
        with self._engine.begin() as connection:
            done = connection.execute(update(core_tables.projects).where(*where).values(description=description))
            if done.rowcount != 1:
                raise NotFoundError(f"there is no project {project!r} in {team}")
            note(connection, principal, team, project, "project", {"": 0}, {"description": description})

    @in_thread
    def changes(self, *, team: str, project: str, subject: str, before: int, limit: int, user: str) -> list[ChangeRow]:
        """Return changes, newest first.

        An empty `subject` selects all. `before` is the id of a row, and 0 starts at the newest. Changes of views and
        reports are listed only where `user` may see the view or report, or made the change.
        """
        query = select(changes).where(changes.c.team == team, changes.c.project == project)
        seen = select(saved.c.id).where(
            saved.c.team == team, saved.c.project == project, or_(saved.c.shared, saved.c.owner == user)
        )
        query = query.where(
            or_(changes.c.what.in_(("run", "project")), changes.c.subject.in_(seen), changes.c.user == user)
        )
        if subject:
            query = query.where(changes.c.subject == subject)
        if before:
            query = query.where(changes.c.id < before)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(changes.c.id.desc()).limit(limit))
            return [
                ChangeRow(row.id, row.what, row.subject, row.user, row.key_prefix, row.time_us, json.loads(row.change))
                for row in rows
            ]


def fold_tags(tags: Iterable[str], changed: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the tags after some changes, without repetition, in the order in which they were added."""
    found = dict.fromkeys(tags)
    for change in changed:
        if "tags" in change:
            found = dict.fromkeys(change["tags"])
        for tag in change.get("remove_tags", ()):
            found.pop(tag, None)
        found |= dict.fromkeys(change.get("add_tags", ()))
    return list(found)
