"""Sweeps and their runs: results, early stopping, and the edges of the service, on the embedded stack."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from runstream_proto.v1 import sweep_pb2 as pb
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack, clean_environment
from tests.support.sweeps import SweepClient, bowl, refused

METHODS = tuple(pb.DESCRIPTOR.services_by_name["SweepService"].methods)
GRID = {"method": "grid", "parameters": {"a": {"min": 1, "max": 10}, "b": {"min": 1, "max": 10}}}


@pytest.fixture
def client(embedded: ServiceStack) -> Iterator[SweepClient]:
    client = SweepClient(embedded.address("grpc"), embedded.key)
    yield client
    client.close()


# Results


@pytest.fixture(scope="module")
def logger(embedded: ServiceStack) -> Any:
    def log(project: str, sweep: str, runs: list[dict[str, Any]]) -> None:
        environment = {**clean_environment(), **embedded.sdk_environment(embedded.folder / "sweep-spool")}
        program = Path(__file__).with_name("log_runs.py")
        subprocess.run(
            [sys.executable, str(program), project, sweep],
            env=environment,
            input=json.dumps(runs).encode(),
            check=True,
            timeout=60,
        )

    return log


def test_results_come_from_the_summaries_of_the_runs(client: SweepClient, logger: Any) -> None:
    project = "sweep-results"
    metrics = [{"name": "loss"}, {"name": "acc", "goal": "maximize"}, {"name": "time", "summary": "max"}]
    sweep = client.create({"method": "random", "metrics": metrics, "parameters": {"x": {"min": 0, "max": 99}}}, project)
    agent = client.agent(sweep.id)
    leased = client.lease(agent, 6).trials
    curve = {"acc": [0.1, 0.9, 0.5], "time": [1, 5, 2]}
    runs: list[dict[str, Any]] = [
        {"logs": {"loss": [3, 1, 2], **curve}},
        {"logs": {"loss": [3, 1, 2], **curve}, "summary": {"loss": "min", "acc": "best"}},
        {"logs": {"loss": [3, 1, 2], **curve}, "set": {"loss": 0.5, "acc": "NaN"}},
        {"logs": {"loss": [3, math.nan], **curve}},
        {"logs": {"loss": [3], "time": [1]}},
    ]
    for one, run in zip(leased, runs, strict=False):
        run["id"] = one.trial.run
    logger(project, sweep.id, runs)
    for one in leased[:5]:
        client.end(agent, one)

    def known() -> bool:
        states = {trial.number: trial.value_state for trial in client.trials(sweep.id)}
        return all(states[n] in (pb.VALUE_STATE_KNOWN, pb.VALUE_STATE_MISSING) for n in range(1, 6))

    wait_for(known, "the results")
    trials = {trial.number: trial for trial in client.trials(sweep.id)}
    assert list(trials[1].values) == [2, 0.5, 5]
    assert list(trials[2].values)[0] == 1 and list(trials[2].values)[2] == 5
    assert trials[3].values[0] == 0.5 and math.isnan(trials[3].values[1])
    assert math.isnan(trials[4].values[0]) and trials[4].values[1] == 0.5
    assert trials[5].value_state == pb.VALUE_STATE_MISSING and "never logged 'acc'" in trials[5].message
    ranked = client.trials(sweep.id, order=pb.ListTrialsRequest.ORDER_VALUE)
    assert [(trial.place, trial.number) for trial in ranked] == [(1, 3), (2, 2), (3, 1), (4, 4)], "NaN ranks last"
    by_time = client.trials(sweep.id, order=pb.ListTrialsRequest.ORDER_VALUE, objective=2)
    assert len(by_time) == 4
    best = client.call("GetBestTrials", pb.GetBestTrialsRequest(sweep=sweep.id)).trials
    assert {trial.number for trial in best} == {2}
    summary = client.summary(sweep.id)
    assert (summary.values_missing, summary.values_pending, summary.agents) == (1, 0, 1)


def test_hopeless_trials_are_told_to_stop(client: SweepClient, logger: Any) -> None:
    project = "sweep-pruning"
    rule = {"type": "hyperband", "min_iter": 2, "eta": 2, "strict": True}
    sweep = client.create(bowl(early_terminate=rule), project).id
    agent = client.agent(sweep)
    leased = client.lease(agent, 4).trials
    runs = [{"id": one.trial.run, "logs": {"loss": [9.0, float(one.trial.number), 0.0]}} for one in leased[:3]]
    logger(project, sweep, runs)
    wait_for(lambda: len(client.beat(agent, *leased).stop) == 1, "the order to stop")
    (order,) = client.beat(agent, *leased).stop
    assert (order.number, order.cause) == (3, pb.STOP_CAUSE_PRUNED)
    assert "after 2 logs it is not among the best 1/2 of 3 trials: 3 against 2" in order.reason
    said = client.end(agent, leased[2], outcome="STOPPED")
    assert said.trial.state == pb.TRIAL_STATE_PRUNED
    wait_for(lambda: client.trials(sweep, numbers=[3])[0].value_state == pb.VALUE_STATE_KNOWN, "its value")
    # a program without a run reports by itself
    told = pb.ReportValuesRequest(agent=agent, number=4, lease=leased[3].lease)
    for step, value in enumerate([9.0, 8.0]):
        told.values.add(step=step, value=value)
    client.call("ReportValues", told)
    wait_for(lambda: bool(client.call("ReportValues", told).HasField("stop")), "the order to stop")
    assert client.end(agent, leased[3], 8.0, outcome="STOPPED").trial.values == [8.0]


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_without_a_key_nothing_is_answered(embedded: ServiceStack, method: str) -> None:
    nobody = SweepClient(embedded.address("grpc"), "rs_000000000000_" + "x" * 43)
    descriptor = next(found for found in METHODS if found.name == method)
    refused(grpc.StatusCode.UNAUTHENTICATED, "not valid", nobody.call, method, GetMessageClass(descriptor.input_type)())
    nobody.close()


@pytest.mark.parametrize("method", [method.name for method in METHODS])
@pytest.mark.parametrize("value", ["'; DROP TABLE sweeps; --", "a\0b", "x" * 100_000, "{sweep:String}"], ids=range(4))
def test_hostile_text_in_any_field_is_only_text(client: SweepClient, method: str, value: str) -> None:
    descriptor = next(found for found in METHODS if found.name == method)
    for field in descriptor.input_type.fields:
        if field.cpp_type == field.CPPTYPE_STRING and not field.is_repeated:
            with pytest.raises(grpc.RpcError) as caught:
                client.call(method, GetMessageClass(descriptor.input_type)(**{field.name: value}))
            assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), field.name


def test_sweeps_are_listed_deleted_and_asked_over_http(embedded: ServiceStack, client: SweepClient) -> None:
    made = [client.create({**GRID, "name": f"n{n}"}, "listed").id for n in range(3)]
    first = client.call("ListSweeps", pb.ListSweepsRequest(project="listed", page_size=2))
    rest = client.call(
        "ListSweeps", pb.ListSweepsRequest(project="listed", page_size=2, page_token=first.next_page_token)
    )
    assert [sweep.id for sweep in (*first.sweeps, *rest.sweeps)] == made[::-1] and not rest.next_page_token
    agent = client.agent(made[0])
    leased = client.lease(agent, 2).trials
    assert client.call("DeleteSweep", pb.DeleteSweepRequest(sweep=made[0])).trials == 2
    refused(grpc.StatusCode.NOT_FOUND, "its sweep may be deleted", client.beat, agent, *leased)
    refused(grpc.StatusCode.NOT_FOUND, "there is no sweep", client.sweep, made[0])
    url = f"http://{embedded.address('http')}/api/v1/"

    def get(path: str, data: bytes | None = None) -> Any:
        request = urllib.request.Request(url + path, data, {"authorization": f"Bearer {embedded.key}"})
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.loads(response.read())

    assert get("ListSweeps?project=listed")["sweeps"][0]["name"] == "n2"
    assert get("GetSweep", json.dumps({"sweep": made[1]}).encode())["size"] == "100"
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(f"DeleteSweep?sweep={made[1]}")
    with caught.value as error:
        assert error.code == 405
