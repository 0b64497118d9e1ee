"""`Api` about many runs, against the real service."""

from __future__ import annotations

import asyncio

import pytest

from runstream.api import Api, IncompleteResultError, InvalidRequestError, NotFoundError, Objective
from runstream_common.clickhouse.client import ArrowInserter, connect
from runstream_control.control_store import ControlStore, Resume
from tests.integration.many_runs import ManyRuns
from tests.support.stack import ServiceStack

RUNS = ManyRuns("of-the-sdk", 12, seed=8)


@pytest.fixture(scope="module")
def seeded(embedded: ServiceStack) -> ServiceStack:
    async def store() -> None:
        client = await connect(embedded.clickhouse.config)
        control = ControlStore.open(embedded.control_url)
        who = await control.authenticate(embedded.key)
        await control.bind_stream(
            who, team="", project=RUNS.project, run="run-000", writer_id="writer-x", rank=0, resume=Resume.ALLOW
        )
        for one in RUNS.inserts:
            await ArrowInserter(client)(one.table, one.columns, one.data, one.token)
        await client.close()
        await control.close()

    asyncio.run(store())
    return embedded


@pytest.fixture
def api(seeded: ServiceStack, monkeypatch: pytest.MonkeyPatch) -> Api:
    for name, value in seeded.sdk_environment(seeded.folder / "api-spool").items():
        monkeypatch.setenv(name, value)
    return Api()


def test_ranking_pareto_and_importance(api: Api) -> None:
    ranked = api.rank(RUNS.project, "loss", k=3, goal="minimize", by="min", filters={"state": {"$ne": "failed"}})
    assert len(ranked) == 3 and [value for value, _ in ranked] == sorted(value for value, _ in ranked)
    assert all(run.state != "failed" for _, run in ranked)
    assert api.rank(RUNS.project, "acc", at="loss")
    front = api.pareto(RUNS.project, ["loss", Objective("acc", goal="maximize", by="max")], layers=2)
    assert {run.layer for run in front} <= {1, 2} and front[0].layer == 1
    found = api.importance(RUNS.project, Objective("é/m", by="min"), parameters=["lr", "opt"], seed=1)
    assert {one.key for one in found.parameters} <= {"lr", "opt"} and found.runs >= 4
    with pytest.raises(InvalidRequestError, match="minimize or maximize"):
        api.rank(RUNS.project, "loss", goal="lowest")
    with pytest.raises(NotFoundError, match="nope"):
        api.rank(RUNS.project, "loss", at="nope")


def test_groups_are_whole_or_say_that_they_are_not(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    states = len({run["state"] for run in RUNS.runs})
    assert states > 1 and len(api.groups(RUNS.project, "state")) == states
    assert len(api.groups(RUNS.project, "state", limit=1)) == 1
    monkeypatch.setattr("runstream.api.comparing._MAX_GROUPS", 1)
    with pytest.raises(IncompleteResultError, match=f"there are {states} groups, and one answer holds 1"):
        api.groups(RUNS.project, "state")


def test_groups_fields_and_comparisons(api: Api) -> None:
    groups = api.groups(RUNS.project, "state", metrics=["loss"])
    assert sum(group.runs for group in groups) == len(RUNS.runs)
    assert {group.values["state"] for group in groups} == {run["state"] for run in RUNS.runs}
    fields = api.fields(RUNS.project, glob="*l*")
    assert "config.lr" in fields and "summary.loss" in fields and "config.opt" not in fields
    one, two = RUNS.runs[0], RUNS.runs[1]
    comparison = api.compare(RUNS.project, [one["id"], two["id"]])
    assert comparison.runs == [one["id"], two["id"]]
    for key in {k for k in (*one, *two) if k.startswith("config.")}:
        name = key.removeprefix("config.")
        if (key in one) != (key in two):
            assert name in comparison.config
    if one["state"] != two["state"]:
        assert comparison.metadata["state"] == [one["state"], two["state"]]
