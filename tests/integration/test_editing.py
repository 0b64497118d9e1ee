"""Runs changed by hand, against the real service: what everybody then sees, and which writer wins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runstream import Api
from runstream.api import InvalidRequestError, NotFoundError, PermissionDeniedError
from runstream_common.clickhouse.client import connect
from runstream_common.objects import MediaConfig, MediaStore
from runstream_control.control_store import ControlStore, Resume
from runstream_control.principal import Role
from runstream_proto.v1 import live_pb2, saved_pb2
from runstream_query.base.storage import Storage
from runstream_query.methods.query_service import QueryService
from runstream_query.runs.deletion import Deletion
from runstream_query.runs.editing.edits import Edits
from tests.integration.test_query_service import call
from tests.integration.test_sessions import Browser
from tests.support.ledger import Attempt, put
from tests.support.stack import ServiceStack

TEAM = "main"


def said(**fields: Any) -> Any:
    """A record as `init()` writes them."""

    def fill(record: Any) -> None:
        ((key, value),) = fields.items()
        record.field.section = 1  # of the run's own document
        record.field.key, record.field.value_json = key, json.dumps(value)

    return fill


class Place:
    """A project with runs that have begun and said their names and tags."""

    def __init__(self, stack: ServiceStack, client: Any, store: ControlStore, project: str) -> None:
        self.stack, self.client, self.store, self.project = stack, client, store, project

    async def begin(self, *runs: str, writer: str = "writer-1", tags: tuple[str, ...] = ("first",)) -> list[Attempt]:
        who = await self.store.authenticate(self.stack.key)
        attempts = []
        for run in runs:
            where = {"team": TEAM, "project": self.project, "run": run}
            bound = await self.store.bind_stream(who, **where, writer_id=writer, rank=0, resume=Resume.ALLOW)
            attempt = Attempt(TEAM, self.project, run, bound.epoch, created_us=bound.run_created_us)
            await put(
                self.client, attempt.start(), attempt.document(said(name=f"name of {run}"), said(tags=list(tags)))
            )
            attempts.append(attempt)
        return attempts

    def ask(self, method: str, key: str | None = None, **body: Any) -> dict[str, Any]:
        status, answer = call(self.stack, method, {"project": self.project, **body}, key or self.stack.key)
        assert status == 200, answer
        return answer

    def tags(self) -> dict[str, list[str]]:
        return {run["id"]: run["tags"] for run in self.ask("ListRuns")["runs"]}


@pytest.fixture
async def place(
    embedded: ServiceStack, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    for name, value in embedded.sdk_environment(embedded.folder / "unused").items():
        monkeypatch.setenv(name, value)
    client = await connect(embedded.clickhouse.config)
    store = ControlStore.open(embedded.control_url)
    yield Place(embedded, client, store, request.node.name.replace("test_", "edit-")[:100])
    await client.close()
    await store.close()


async def test_tags_of_many_runs_are_changed_and_found_at_once(place: Place) -> None:
    await place.begin("a", "b", "c")
    answer = place.ask("UpdateRuns", runs=["a", "b"], add_tags=["good", "<b>"], remove_tags=["first"])
    assert {run["id"]: run["tags"] for run in answer["runs"]} == {"a": ["good", "<b>"], "b": ["good", "<b>"]}
    assert place.tags() == {"a": ["good", "<b>"], "b": ["good", "<b>"], "c": ["first"]}
    found = place.ask("ListRuns", filter='{"tags": "good"}', order=["+name"])["runs"]
    assert [run["id"] for run in found] == ["a", "b"]
    (change, _) = place.ask("ListChanges")["changes"]
    assert change["user"] and change["change"] == {"add_tags": ["good", "<b>"], "remove_tags": ["first"]}


async def test_twenty_who_add_a_tag_at_once_lose_none(place: Place) -> None:
    await place.begin("a")
    names = [f"t{number:02d}" for number in range(20)]
    asked = (asyncio.to_thread(place.ask, "UpdateRuns", runs=["a"], add_tags=[name]) for name in names)
    await asyncio.gather(*asked)
    assert sorted(place.tags()["a"]) == ["first", *names]


async def test_a_change_wins_over_what_came_before_and_loses_to_a_later_attempt(place: Place) -> None:
    (first,) = await place.begin("a")
    place.ask("UpdateRuns", runs=["a"], name="by hand", tags={"tags": ["mine"]}, notes="why")
    await put(place.client, first.document(said(name="name of a"), said(tags=["first"])))  # it says so again
    run = place.ask("GetRun", run="a")
    assert (run["name"], run["tags"], run["notes"]) == ("by hand", ["mine"], "why")
    await place.begin("a", writer="writer-2", tags=("resumed",))
    place.ask("UpdateRuns", runs=["a"], add_tags=["after"])
    run = place.ask("GetRun", run="a")
    assert (run["name"], run["tags"], run["notes"]) == ("name of a", ["resumed", "after"], "why")


async def test_the_api_sends_what_was_set(place: Place) -> None:
    await place.begin("a")

    def change() -> None:
        run = Api().run(f"{place.project}/a")
        run.update()
        assert run.tags == ["first"]
        run.name, run.group, run.notes = "new", "g", "# notes"
        run.tags.append("second")
        run.config["lr"] = 0.5
        run.config["model.depth"] = 3
        run.summary["best"] = float("nan")
        run.update()
        again = Api().run(f"{place.project}/a")
        assert (again.name, again.group, again.notes, again.tags) == ("new", "g", "# notes", ["first", "second"])
        assert again.config == {"lr": 0.5, "model.depth": 3} and isinstance(again.config["model.depth"], int)
        assert str(again.summary["best"]) == "nan"
        del again.config["lr"]
        again.update()
        assert again.config == {"model.depth": 3} and run.name == "new"
        again.add_tags("third")
        again.remove_tags("first", "never there")
        assert Api().run(f"{place.project}/a").tags == ["second", "third"] == again.tags
        again.config["x"] = object()
        with pytest.raises(InvalidRequestError, match="is a object"):
            again.update()
        project = Api().project(place.project)
        project.description = "**What** it is"
        project.update()
        assert Api().project(place.project).description == "**What** it is"
        again.delete()
        with pytest.raises(NotFoundError):
            run.update()

    await asyncio.to_thread(change)
    assert place.ask("ListChanges", subject="a", page_size=1)["changes"][0]["change"] == {"deleted": True}


async def test_who_watches_is_told_of_a_change(place: Place) -> None:
    await place.begin("a")
    storage = Storage(place.client)
    media = MediaStore(MediaConfig((place.stack.folder / "media").absolute().as_uri()))
    answers = QueryService(storage, place.store, Deletion(place.client, storage, place.store, media))
    who = await place.store.authenticate(place.stack.key)
    watched = answers.live.WatchRuns(who, live_pb2.WatchRunsRequest(project=place.project, runs=["a"]))
    await anext(watched)
    request = saved_pb2.UpdateRunsRequest(project=place.project, runs=["a"], notes="seen?")
    await answers.editing.UpdateRuns(who, request)
    async with asyncio.timeout(15):
        while True:
            fields = [field for response in [await anext(watched)] for field in response.fields]
            if any(field.key == "notes" and "seen?" in str(field) for field in fields):
                break
    await watched.aclose()
    await answers.close()


async def test_a_run_deleted_while_it_is_changed_stays_deleted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.begin("a")
    storage = Storage(place.client)
    media = MediaStore(MediaConfig((place.stack.folder / "media").absolute().as_uri()))
    deletion = Deletion(place.client, storage, place.store, media)
    answers = QueryService(storage, place.store, deletion)
    who = await place.store.authenticate(place.stack.key)
    tags = Edits._tags

    async def slow(*arguments: Any) -> Any:
        await deletion.runs(who, TEAM, place.project, ["a"])
        return await tags(*arguments)

    monkeypatch.setattr(Edits, "_tags", slow)
    with pytest.raises(Exception, match="just deleted"):
        await answers.editing.UpdateRuns(
            who, saved_pb2.UpdateRunsRequest(project=place.project, runs=["a"], add_tags=["x"], notes="n")
        )
    for table in ("run_fields", "ledger"):
        rows = await place.client.query(
            f"SELECT count() FROM {table} WHERE project = {{project:String}}",
            parameters={"project": f"{TEAM}/{place.project}"},
        )
        assert rows.result_rows == [(0,)], table
    await answers.close()


async def test_who_may_only_read_and_who_is_no_page_change_nothing(place: Place) -> None:
    await place.begin("a")
    reader = await place.store.create_api_key("reader", TEAM, Role.VIEWER)
    for method, body in (
        ("UpdateRuns", {"runs": ["a"], "add_tags": ["x"]}),
        ("UpdateProject", {"description": "x"}),
        ("CreateSaved", {"kind": "SAVED_KIND_REPORT", "name": "x"}),
    ):
        status, answer = call(place.stack, method, {"project": place.project, **body}, reader)
        assert (status, answer["error"]["code"]) == (403, "PERMISSION_DENIED")
        browser = Browser(f"http://{place.stack.address('http')}")
        assert browser.ask("POST", "/api/session", {"key": place.stack.key})[0] == 200
        body = {"project": place.project, **body}
        assert browser.ask("POST", f"/api/v1/{method}", body, {"content-type": "application/json"})[0] == 403
        assert browser.ask("GET", f"/api/v1/{method}?project={place.project}")[0] == 405
        assert browser.ask("POST", f"/api/v1/{method}", body)[0] == 200

    def ask() -> None:
        run = Api(api_key=reader).run(f"main/{place.project}/a")
        run.notes = "x"
        with pytest.raises(PermissionDeniedError, match="may not write"):
            run.update()

    await asyncio.to_thread(ask)
    assert place.ask("ListChanges", page_size=2)["next_page_token"]
