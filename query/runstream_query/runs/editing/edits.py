"""Write changes of runs into ClickHouse: rows of their documents, as an attempt of the run would write them.

A change gets an epoch of its own from the control database, which stores it with its author. So its rows outrank those
of earlier attempts, in whatever order rows arrive, and a later attempt outranks it. A ledger row announces the change;
the live stream learns of it from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from runstream_common import text
from runstream_common.identity import full_project, run_month, version
from runstream_control.changes import ChangeStore, EditedRun, fold_tags
from runstream_control.control_store import ControlStore
from runstream_control.errors import NotFoundError
from runstream_control.principal import Principal
from runstream_query.base.storage import Storage
from runstream_query.runs.deletion import Deletion
from runstream_query.runs.editing.change import RunChange, check_tags
from runstream_query.runs.editing.replaced_fields import SECTION, field_name, fields_before, replaced_value
from runstream_query.runs.selection.field_column import json_text

WRITER = "edit-by-hand"
"""The writer in the ledger for all changes of a run; the batch is the change's epoch."""
_FIELDS = ("project", "run", "section", "key", "value", "deleted", "time", "version", "run_month")
_LEDGER = (
    *("project", "run", "writer", "batch", "rank", "epoch", "first_record", "last_record", "points", "rejected"),
    *("low_step", "high_step", "documents", "checksum", "topic", "partition", "offset", "received", "written"),
    "run_month",
)


class Edits:
    """Applies changes to runs. All methods raise ControlError, StorageError, InvalidRequestError."""

    def __init__(self, storage: Storage, store: ControlStore, deletion: Deletion) -> None:
        self._storage = storage
        self._changes = ChangeStore.beside(store)
        self._deletion = deletion

    async def apply(
        self, principal: Principal, team: str, project: str, runs: Sequence[str], change: RunChange
    ) -> None:
        """Apply the change to the runs; when it returns, every reader sees the change. It may be repeated."""
        if change.tags:
            await self._check_room(team, project, runs, change)
        edited = await self._changes.edit_runs(
            principal, team=team, project=project, runs=runs, change=dict(change.fields)
        )
        tags = await self._tags(team, project, edited) if change.tags else {}
        now = datetime.now(UTC)
        name = full_project(team, project)
        changed = [(section, key) for section, key, _ in change.rows()] + ([("run", "tags")] if change.tags else [])
        before = await fields_before(self._storage, name, runs, changed)
        fields, ledger = [], []
        for one in edited:
            rows = list(change.rows())
            if change.tags:
                rows.append(("run", "tags", json_text(tags[one.run])))
            for section, key in changed:
                if (replaced := replaced_value(before, one.run, section, key)) is not None:
                    rows.append((SECTION, field_name(section, key), replaced))
            month = run_month(one.created_us)
            for number, (section, key, value) in enumerate(rows, 1):
                row = (name, one.run, section, key, value, int(not value), now, version(one.epoch, number), month)
                fields.append(row)
            place = (name, one.run, WRITER, one.epoch, 0, one.epoch, 1, len(rows), 0, 0)
            ledger.append((*place, 0, 0, len(rows), 0, "", 0, 0, now, now, month))
        await self._storage.insert("run_fields", _FIELDS, fields)
        await self._storage.insert("ledger", _LEDGER, ledger)
        await self._delete_again(team, project, edited)

    async def _check_room(self, team: str, project: str, runs: Sequence[str], change: RunChange) -> None:
        """Raise InvalidRequestError if a run would have too many tags, before anything is noted.

        Two changes at once may exceed the limit together; the limit only keeps a table's cell small.
        """
        stored = await self._stored_tags(full_project(team, project), runs)
        for run in runs:
            check_tags(run, fold_tags(stored.get(run, (0, []))[1], [change.fields]))

    async def _tags(self, team: str, project: str, edited: Sequence[EditedRun]) -> dict[str, list[str]]:
        """Return the tags of each run with this change.

        To the stored tags it applies all changes noted since, in their order. So none of two changes at once is lost,
        whichever is written last.
        """
        stored = await self._stored_tags(full_project(team, project), [one.run for one in edited])
        between = {one.run: (stored.get(one.run, (0, []))[0], one.epoch) for one in edited}
        changed = await self._changes.tag_changes(team=team, project=project, between=between)
        return {one.run: fold_tags(stored.get(one.run, (0, []))[1], changed[one.run]) for one in edited}

    async def _stored_tags(self, project: str, runs: Sequence[str]) -> dict[str, tuple[int, list[str]]]:
        rows = await self._storage.rows("run_tags", project=project, runs=list(runs))
        return {row["run"]: (row["epoch"], _tags_of(row["value"])) for row in rows}

    async def _delete_again(self, team: str, project: str, edited: Sequence[EditedRun]) -> None:
        """Delete again the runs that were deleted during the change, and raise NotFoundError if there are any.

        Their deletion may have read the rows before the change stored its own.
        """
        dead = await self._changes.deleted(team=team, project=project, edited=edited)
        if dead:
            await self._deletion.purge(team, project, [(one.run, one.epoch) for one in dead])
            raise NotFoundError(f"there is no run {dead[0].run!r} in {team}/{project}: it was just deleted")


def _tags_of(value: str) -> list[str]:
    found = text.parsed(value)
    return [str(tag) for tag in found] if isinstance(found, list) else []
