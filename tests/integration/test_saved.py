"""Saved views and reports, and changes of runs, in the control database: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from runstream_control import saved as saved_module
from runstream_control.changes import ChangeStore, fold_tags
from runstream_control.control_store import ControlStore, DeletedRun, Resume
from runstream_control.errors import (
    LimitReachedError,
    NotFoundError,
    PermissionDeniedError,
    StaleVersionError,
)
from runstream_control.principal import Principal, Role
from runstream_control.saved import KEPT_US, SavedRow, SavedStore
from runstream_control.saved_tables import saved

HERE = {"team": "acme", "project": "p"}


async def someone(store: ControlStore, user: str = "ann", role: Role = Role.MEMBER) -> Principal:
    return await store.authenticate(await store.create_api_key(user, "acme", role))


async def begin(store: ControlStore, who: Principal, run: str = "r", writer: str = "writer-1") -> int:
    bound = await store.bind_stream(who, **HERE, run=run, writer_id=writer, rank=0, resume=Resume.ALLOW)
    return bound.epoch


async def create(store: SavedStore, who: Principal, **changes: Any) -> SavedRow:
    fields = {"kind": "report", "name": "Findings", "content": "# A", "shared": True}
    return await store.create(who, **HERE, **{**fields, **changes})  # type: ignore[arg-type]


async def test_of_two_who_edit_one_version_the_second_is_told_and_nothing_is_lost(store: ControlStore) -> None:
    ann, ben = await someone(store), await someone(store, "ben")
    reports = SavedStore.beside(store)
    report = await create(reports, ann)
    change = {"content": "by one of them"}
    outcomes = await asyncio.gather(
        *(reports.update(who, **HERE, id=report.id, version=1, change=change) for who in (ann, ben)),
        return_exceptions=True,
    )
    (won,) = [one for one in outcomes if isinstance(one, SavedRow)]
    (lost,) = [one for one in outcomes if isinstance(one, StaleVersionError)]
    assert (won.version, won.content) == (2, "by one of them") and f"changed by {won.updated_by}" in str(lost)
    assert await reports.get(ann, **HERE, id=report.id) == won
    forced = await reports.update(ben, **HERE, id=report.id, version=None, change={"name": "Other"})
    assert (forced.version, forced.name, forced.content, forced.owner) == (3, "Other", "by one of them", "ann")


async def test_what_is_kept_to_oneself_is_unknown_to_others(store: ControlStore) -> None:
    ann, ben = await someone(store), await someone(store, "ben", Role.ADMIN)
    views = SavedStore.beside(store)
    own = await create(views, ann, kind="table", name="mine", content="sort=-a", shared=False)
    shared = await create(views, ann, kind="charts", name="ours", content="smooth=0.5")
    assert [row.name for row in await views.find(ann, **HERE)] == ["mine", "ours"]
    assert [row.name for row in await views.find(ben, **HERE)] == ["ours"]
    assert [row.name for row in await views.find(ann, **HERE, kind="table")] == ["mine"]
    for act in (views.get, views.delete, views.restore):
        with pytest.raises(NotFoundError):
            await act(ben, **HERE, id=own.id)
    with pytest.raises(NotFoundError):
        await views.update(ben, **HERE, id=own.id, version=1, change={"name": "x"})
    with pytest.raises(StaleVersionError, match="is taken"):
        await create(views, ben, id=own.id)
    with pytest.raises(PermissionDeniedError, match="only its owner"):
        await views.update(ben, **HERE, id=shared.id, version=1, change={"shared": False})
    await views.update(ann, **HERE, id=shared.id, version=1, change={"shared": False})
    changes = ChangeStore.beside(store)
    question = {**HERE, "subject": "", "before": 0, "limit": 10}
    assert {row.subject for row in await changes.changes(**question, user="ben")} == set()
    assert {row.subject for row in await changes.changes(**question, user="ann")} == {own.id, shared.id}


async def test_who_may_only_read_changes_nothing(store: ControlStore) -> None:
    ann, reader = await someone(store), await someone(store, "reader", Role.VIEWER)
    await begin(store, ann)
    reports, changes = SavedStore.beside(store), ChangeStore.beside(store)
    report = await create(reports, ann)
    assert (await reports.get(reader, **HERE, id=report.id)).content == "# A"
    with pytest.raises(PermissionDeniedError):
        await create(reports, reader)
    with pytest.raises(PermissionDeniedError):
        await reports.update(reader, **HERE, id=report.id, version=1, change={"name": "x"})
    for act in (reports.delete, reports.restore):
        with pytest.raises(PermissionDeniedError):
            await act(reader, **HERE, id=report.id)
    with pytest.raises(PermissionDeniedError):
        await changes.edit_runs(reader, **HERE, runs=["r"], change={"name": "x"})
    with pytest.raises(PermissionDeniedError):
        await changes.describe_project(reader, **HERE, description="x")


async def test_a_deletion_can_be_taken_back_for_thirty_days(store: ControlStore) -> None:
    ann = await someone(store)
    reports = SavedStore.beside(store)
    report = await create(reports, ann)
    await reports.delete(ann, **HERE, id=report.id)
    await reports.delete(ann, **HERE, id=report.id)
    assert await reports.find(ann, **HERE) == []
    assert [row.id for row in await reports.find(ann, **HERE, deleted=True)] == [report.id]
    with pytest.raises(StaleVersionError, match="restore it first"):
        await reports.update(ann, **HERE, id=report.id, version=1, change={"name": "x"})
    assert await reports.restore(ann, **HERE, id=report.id) == report
    await reports.delete(ann, **HERE, id=report.id)
    with store._engine.begin() as connection:
        connection.execute(update(saved).values(deleted_us=saved.c.deleted_us - KEPT_US - 1))
    with pytest.raises(NotFoundError):
        await reports.restore(ann, **HERE, id=report.id)


async def test_a_creation_sent_twice_makes_one_and_there_is_a_limit(
    store: ControlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await someone(store)
    reports = SavedStore.beside(store)
    first = await create(reports, ann, id="chosen-here")
    assert await create(reports, ann, id="chosen-here", name="again") == first
    monkeypatch.setattr(saved_module, "MOST", 1)
    with pytest.raises(LimitReachedError, match="delete some first"):
        await create(reports, ann)


async def test_a_change_outranks_the_attempts_before_it_and_not_those_after(store: ControlStore) -> None:
    ann = await someone(store)
    changes = ChangeStore.beside(store)
    assert await begin(store, ann) == 1
    (edited,) = await changes.edit_runs(ann, **HERE, runs=["r"], change={"name": "x"})
    assert edited.epoch == 2
    assert await begin(store, ann) == 1 and await begin(store, ann, writer="writer-2") == 3
    with pytest.raises(NotFoundError, match="'nope'"):
        await changes.edit_runs(ann, **HERE, runs=["r", "nope"], change={"name": "x"})
    assert len(await changes.changes(**HERE, subject="r", before=0, limit=10, user="ann")) == 1
    await store.delete_runs(ann, **HERE, runs=["r"])
    with pytest.raises(NotFoundError):
        await changes.edit_runs(ann, **HERE, runs=["r"], change={"name": "x"})
    last, first = await changes.changes(**HERE, subject="r", before=0, limit=10, user="ben")
    assert (last.change, first.change, first.user, first.key_prefix) == (
        {"deleted": True},
        {"name": "x"},
        "ann",
        ann.key_prefix,
    )


async def test_tags_added_at_once_are_all_there_in_one_order(store: ControlStore) -> None:
    ann = await someone(store)
    changes = ChangeStore.beside(store)
    await begin(store, ann)
    asked = (changes.edit_runs(ann, **HERE, runs=["r"], change={"add_tags": [f"t{n}"]}) for n in range(20))
    epochs = sorted([one.epoch for edited in await asyncio.gather(*asked) for one in edited])
    assert epochs == list(range(2, 22))
    await changes.edit_runs(ann, **HERE, runs=["r"], change={"notes": "no tag", "remove_tags": ["t3"]})
    found = (await changes.tag_changes(**HERE, between={"r": (1, 22)}))["r"]
    assert set(fold_tags(["old"], found)) == {"old", *(f"t{n}" for n in range(20))} - {"t3"}
    assert len((await changes.tag_changes(**HERE, between={"r": (20, 21)}))["r"]) == 1


async def test_retention_takes_what_was_changed_by_hand_too(store: ControlStore) -> None:
    ann = await someone(store)
    changes = ChangeStore.beside(store)
    await begin(store, ann)
    await begin(store, ann, "living")
    await changes.edit_runs(ann, **HERE, runs=["r", "living"], change={"name": "x"})
    await begin(store, ann, "living", "writer-2")
    dead = await store.expire_runs("acme", "p", [DeletedRun("r", 1), DeletedRun("living", 1)])
    assert dead == [DeletedRun("r", 2), DeletedRun("living", 1)]
    with pytest.raises(NotFoundError):
        await changes.edit_runs(ann, **HERE, runs=["r"], change={"name": "y"})
    await changes.edit_runs(ann, **HERE, runs=["living"], change={"name": "y"})


async def test_a_project_is_described_and_deleted_with_what_was_saved_in_it(store: ControlStore) -> None:
    chief = await someone(store, "chief", Role.ADMIN)
    await begin(store, chief)
    reports, changes = SavedStore.beside(store), ChangeStore.beside(store)
    await create(reports, chief)
    await changes.describe_project(chief, **HERE, description="x" * 1000)
    assert [row.description for row in await store.projects(chief)] == ["x" * 1000]
    (change, _) = await changes.changes(**HERE, subject="", before=0, limit=10, user="chief")
    assert change.what == "project" and len(change.change["description"]) == 201
    await store.delete_project(chief, **HERE)
    assert await reports.find(chief, **HERE) == []
    assert await changes.changes(**HERE, subject="", before=0, limit=10, user="chief") == []
