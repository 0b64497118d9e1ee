"""Sweeps over gRPC, by a real query service: on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from runstream_control.principal import Role
from runstream_proto.v1 import sweep_pb2 as pb
from tests.support.postgres import postgres_url
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack
from tests.support.sweeps import LOSS, SweepClient, SweepServer, bowl, refused

GO, WAIT = pb.LeaseTrialsResponse.VERDICT_GO, pb.LeaseTrialsResponse.VERDICT_WAIT
PAUSED, STOP = pb.LeaseTrialsResponse.VERDICT_PAUSED, pb.LeaseTrialsResponse.VERDICT_STOP
GRID = {"method": "grid", "parameters": {"a": {"min": 1, "max": 10}, "b": {"min": 1, "max": 10}}}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, embedded: ServiceStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SweepServer]:
    folder = tmp_path_factory.mktemp("sweeps")
    if request.param == "sqlite":
        databases: Iterator[str] = iter([f"sqlite:///{folder / 'control.db'}"])
    else:
        databases = postgres_url(tmp_path_factory.mktemp("postgres"))
    server = SweepServer(embedded, folder, next(databases)).start()
    yield server
    server.stop()
    next(databases, None)


@pytest.fixture
def client(server: SweepServer) -> Iterator[SweepClient]:
    client = server.client()
    yield client
    client.close()


# Leases


def test_a_hundred_agents_never_receive_the_same_trial(server: SweepServer, client: SweepClient) -> None:
    sweep = client.create({**GRID, "metric": LOSS}).id
    taken: list[int] = []
    lock = threading.Lock()

    def work(index: int) -> None:
        mine = server.client()
        agent = mine.agent(sweep, f"agent-{index}")
        while True:
            answer = mine.lease(agent, wait_s=10)
            if answer.verdict == STOP:
                break
            for leased in answer.trials:
                with lock:
                    taken.append(leased.trial.number)
                assert mine.end(agent, leased, float(leased.trial.number)).accepted
        mine.close()

    with ThreadPoolExecutor(100) as pool:
        list(pool.map(work, range(100)))
    assert sorted(taken) == list(range(1, 101))
    points = {trial.parameters_json for trial in client.trials(sweep)}
    assert points == {f'{{"a":{a},"b":{b}}}' for a in range(1, 11) for b in range(1, 11)}
    found = client.sweep(sweep)
    assert (found.state, found.counts.finished) == (pb.SWEEP_STATE_FINISHED, 100)
    assert found.reason == "all 100 trials of the grid ended"


def test_a_repeated_lease_call_gives_the_same_trials(client: SweepClient) -> None:
    sweep = client.create(GRID).id
    agent = client.agent(sweep)
    first = client.lease(agent, 3, request_id="one")
    again = client.lease(agent, 3, request_id="one")
    assert [one.lease for one in first.trials] == [one.lease for one in again.trials]
    assert [one.trial.number for one in client.lease(agent, 2, request_id="two").trials] == [4, 5]
    assert client.sweep(sweep).counts.running == 5


def test_max_parallel_and_the_run_cap_are_kept(client: SweepClient) -> None:
    sweep = client.create(bowl(max_parallel=2, run_cap=3)).id
    agent, other = client.agent(sweep), client.agent(sweep)
    leased = client.lease(agent, 5)
    assert len(leased.trials) == 2
    waiting = client.lease(other)
    assert waiting.verdict == WAIT and "max_parallel" in waiting.reason and waiting.retry_after_s > 0
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(client.lease, other, 1, 20.0)
        client.end(agent, leased.trials[0], 1.0)
        assert [one.trial.number for one in long.result(10).trials] == [3]
    assert client.end(agent, leased.trials[1], 1.0).verdict == GO
    assert client.lease(agent).verdict == WAIT, "the last trial may come back"
    last = client.trials(sweep, numbers=[3])[0]
    assert last.state == pb.TRIAL_STATE_RUNNING


def test_a_lease_that_expires_goes_back_and_to_another_agent(client: SweepClient) -> None:
    sweep = client.create({"method": "grid", "metric": LOSS, "parameters": {"a": {"values": [1]}}}).id
    dead, living = client.agent(sweep, lease_s=1), client.agent(sweep, lease_s=1)
    lost = client.lease(dead).trials[0]
    taken = client.lease(living, wait_s=15)
    assert [one.trial.number for one in taken.trials] == [1]
    leased = taken.trials[0]
    assert leased.trial.attempt == 2 and leased.trial.run == f"{sweep}-1-2" and lost.trial.run == f"{sweep}-1"
    assert [order.cause for order in client.beat(dead, lost).stop] == [pb.STOP_CAUSE_LEASE_LOST]
    late = client.end(dead, lost, 5.0)
    assert not late.accepted and late.trial.state == pb.TRIAL_STATE_RUNNING
    assert client.end(living, leased, 1.0).accepted
    assert client.end(living, leased, 1.0).accepted, "said again, it is the same"
    assert client.lease(living).verdict == STOP
    (trial,) = client.trials(sweep)
    assert (trial.state, list(trial.values)) == (pb.TRIAL_STATE_FINISHED, [1.0])


def test_every_point_is_finished_once_although_agents_die(server: SweepServer, client: SweepClient) -> None:
    """A fifth of the agents die with trials in their hands: nothing is heard of them any more."""
    sweep = client.create({**GRID, "metric": LOSS, "parameters": {"a": {"min": 1, "max": 120}}}).id
    accepted: list[int] = []
    lock = threading.Lock()

    def work(index: int) -> None:
        mine = server.client()
        agent = mine.agent(sweep, f"agent-{index}", lease_s=1)
        for turn in range(1000):
            answer = mine.lease(agent, 2, wait_s=10)
            if answer.verdict == STOP or (index % 5 == 0 and turn == 2):
                break
            for leased in answer.trials:
                if mine.end(agent, leased, 1.0).accepted:
                    with lock:
                        accepted.append(leased.trial.number)
        mine.close()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(20)))
    assert sorted(accepted) == list(range(1, 121))
    counts = client.sweep(sweep).counts
    assert (counts.finished, counts.queued, counts.running) == (120, 0, 0)
    assert max(trial.attempt for trial in client.trials(sweep)) >= 2


def test_heartbeats_keep_a_lease_and_fetch_one_back_that_nobody_took(client: SweepClient) -> None:
    sweep = client.create(bowl()).id
    agent = client.agent(sweep, lease_s=1)
    leased = client.lease(agent, 2).trials
    wait_for(lambda: client.sweep(sweep).counts.queued == 2, "the expiry")
    answer = client.beat(agent, *leased)
    assert answer.verdict == GO and not answer.stop and answer.lease_s == 1
    counts = client.sweep(sweep).counts
    assert (counts.queued, counts.running) == (0, 2)
    assert client.end(agent, leased[0], 1.0).accepted


def test_failures_are_retried_by_policy_and_preempted_trials_go_on_in_their_run(client: SweepClient) -> None:
    sweep = client.create(bowl(retries=1)).id
    agent = client.agent(sweep, failure_guard_off=True)
    first = client.lease(agent).trials[0]
    said = client.end(agent, first, outcome="FAILED", exit_code=3, message="out of memory")
    assert said.requeued and said.trial.state == pb.TRIAL_STATE_QUEUED
    second = client.lease(agent).trials[0]
    assert (second.trial.number, second.trial.attempt, second.resume) == (1, 2, False)
    assert second.trial.parameters_json == first.trial.parameters_json
    assert second.trial.run != first.trial.run
    assert client.end(agent, second, outcome="PREEMPTED").requeued
    third = client.lease(agent).trials[0]
    assert (third.trial.number, third.trial.run, third.resume) == (1, second.trial.run, True)
    assert client.end(agent, third, outcome="GIVEN_BACK").requeued
    fourth = client.lease(agent).trials[0]
    assert (fourth.trial.number, fourth.resume, fourth.trial.attempt) == (1, True, 3)
    said = client.end(agent, fourth, outcome="FAILED", exit_code=1, message="again")
    assert not said.requeued
    assert (said.trial.state, said.trial.exit_code, said.trial.message) == (pb.TRIAL_STATE_FAILED, 1, "again")
    assert client.lease(agent).trials[0].trial.number == 2


def test_an_agent_whose_trials_fail_one_after_the_other_is_stopped_with_the_reason(client: SweepClient) -> None:
    sweep = client.create(bowl()).id
    bad, good = client.agent(sweep, "bad"), client.agent(sweep, "good")
    verdicts = []
    for _ in range(3):
        said = client.end(bad, client.lease(bad).trials[0], outcome="FAILED", exit_code=1, message="no GPU")
        verdicts.append(said.verdict)
    assert verdicts == [GO, GO, STOP]
    assert said.cause == pb.STOP_CAUSE_FAILURE_GUARD
    assert said.reason == "its last 3 trials failed within 60 s; the last: no GPU"
    assert client.lease(bad).cause == pb.STOP_CAUSE_FAILURE_GUARD
    assert client.lease(good).verdict == GO
    assert client.changes(sweep)[0].action == "agent stopped"
    agents = client.call("ListAgents", pb.ListAgentsRequest(sweep=sweep)).agents
    assert {agent.name: (agent.state, agent.failed, agent.running) for agent in agents} == {
        "bad": (pb.AGENT_STATE_STOPPED, 3, 0),
        "good": (pb.AGENT_STATE_ACTIVE, 0, 1),
    }
    assert client.agent(sweep, "bad") == bad
    assert client.lease(bad).verdict == GO, "it was begun anew"


def test_a_success_in_between_is_no_row_of_failures_but_five_at_the_start_are(client: SweepClient) -> None:
    sweep = client.create(bowl()).id
    agent = client.agent(sweep, failure_window_s=0.001)
    for outcome in ("FAILED", "FINISHED", "FAILED", "FAILED", "FAILED", "FAILED"):
        said = client.end(agent, client.lease(agent).trials[0], outcome=outcome)
    assert said.verdict == GO
    other = client.agent(sweep, failure_window_s=0.001)
    verdicts = [client.end(other, client.lease(other).trials[0], outcome="FAILED").verdict for _ in range(5)]
    assert verdicts == [GO, GO, GO, GO, STOP]


# Commands and changes


def test_pause_resume_stop_and_cancel(client: SweepClient) -> None:
    sweep = client.create(bowl()).id
    agent = client.agent(sweep)
    leased = client.lease(agent).trials[0]
    client.command(sweep, pb.SWEEP_COMMAND_PAUSE, "lunch")
    paused = client.lease(agent)
    assert paused.verdict == PAUSED and paused.reason == "paused by tester: lunch"
    assert client.beat(agent, leased).verdict == PAUSED
    assert client.command(sweep, pb.SWEEP_COMMAND_RESUME).state == pb.SWEEP_STATE_RUNNING
    second = client.lease(agent).trials[0]
    assert client.command(sweep, pb.SWEEP_COMMAND_STOP).state == pb.SWEEP_STATE_FINISHED
    assert client.lease(agent).cause == pb.STOP_CAUSE_SWEEP_FINISHED
    beat = client.beat(agent, leased, second)
    assert (beat.verdict, list(beat.stop)) == (STOP, []), "what runs goes on to its end"
    refused(grpc.StatusCode.FAILED_PRECONDITION, "nothing to pause", client.command, sweep, pb.SWEEP_COMMAND_PAUSE)
    client.command(sweep, pb.SWEEP_COMMAND_RESUME)
    client.end(agent, second, outcome="PREEMPTED")
    cancelled = client.command(sweep, pb.SWEEP_COMMAND_CANCEL)
    assert (cancelled.counts.queued, cancelled.counts.cancelled) == (0, 1)
    beat = client.beat(agent, leased)
    assert [(order.number, order.cause) for order in beat.stop] == [(1, pb.STOP_CAUSE_SWEEP_CANCELLED)]
    assert client.end(agent, leased, outcome="STOPPED").trial.state == pb.TRIAL_STATE_CANCELLED
    refused(grpc.StatusCode.FAILED_PRECONDITION, "final", client.command, sweep, pb.SWEEP_COMMAND_RESUME)
    actions = [(change.author, change.action) for change in reversed(client.changes(sweep))]
    words = ["created", "paused", "resumed", "stopped", "resumed", "cancelled"]
    assert actions == [("tester", word) for word in words]


def test_what_may_be_changed_is_changed_and_recorded(client: SweepClient) -> None:
    definition = bowl(run_cap=1, early_terminate={"type": "hyperband", "min_iter": 3})
    sweep = client.create(definition).id
    agent = client.agent(sweep)
    client.end(agent, client.lease(agent).trials[0], 1.0)
    assert client.sweep(sweep).reason == "all 1 trials of the run cap ended"
    changed = client.call(
        "UpdateSweep",
        pb.UpdateSweepRequest(
            sweep=sweep, run_cap=2, max_parallel=4, description="more", early_terminate_off=True, cost=5
        ),
    )
    assert (changed.run_cap, changed.size, changed.max_parallel) == (2, 2, 4)
    in_force = json.loads(changed.definition_json)
    assert "early_terminate" not in in_force and in_force["budget"] == {"cost": 5.0}
    assert "run_cap: 1 -> 2" in client.changes(sweep)[0].detail
    client.command(sweep, pb.SWEEP_COMMAND_RESUME)
    client.end(agent, client.lease(agent).trials[0], 1.0)
    assert client.sweep(sweep).state == pb.SWEEP_STATE_FINISHED
    update = pb.UpdateSweepRequest(sweep=sweep, cost=-1)
    refused(grpc.StatusCode.INVALID_ARGUMENT, "cost is -1", client.call, "UpdateSweep", update)


def test_a_whole_definition_changes_what_may_be_changed_and_what_may_not_is_named(client: SweepClient) -> None:
    definition = bowl(run_cap=5, max_parallel=2, early_terminate={"type": "hyperband", "min_iter": 3})
    sweep = client.create(definition).id

    def update(config: Any, **fields: Any) -> pb.Sweep:
        request = pb.UpdateSweepRequest(sweep=sweep, definition_json=json.dumps(config), **fields)
        return client.call("UpdateSweep", request)  # type: ignore[no-any-return]

    assert len(client.changes(sweep)) == 1
    update(definition)
    assert len(client.changes(sweep)) == 1, "nothing was changed"
    changed = update({**definition, "run_cap": 9, "retries": 1, "budget": {"wall_time": "2h"}, "name": "n"})
    in_force = json.loads(changed.definition_json)
    assert (changed.name, changed.run_cap, changed.max_parallel, changed.retries) == ("n", 9, 2, 1)
    assert in_force["budget"] == {"wall_time": 7200.0} and in_force["early_terminate"] == definition["early_terminate"]
    plain = {key: value for key, value in definition.items() if key not in ("max_parallel", "early_terminate")}
    freed = update(plain)
    assert (freed.name, freed.max_parallel, freed.retries) == ("", 0, 0)
    assert "early_terminate" not in json.loads(freed.definition_json)
    bad = grpc.StatusCode.INVALID_ARGUMENT
    wider = {"x": {"min": 0.0, "max": 2.0}}
    for path, other in (
        ("parameters.x.max", {"parameters": wider}),
        ("parameters.y", {"parameters": {**definition["parameters"], "y": {"value": 1}}}),
        ("method", {"method": "bayes"}),
        ("metric.goal", {"metric": {**LOSS, "goal": "maximize"}}),
        ("seed", {"seed": 2}),
        ("program", {"program": "other.py"}),
        ("early_terminate", {"early_terminate": definition["early_terminate"]}),
    ):
        refused(bad, f"{path}: cannot be changed: the sweep's trials were drawn from it", update, plain | other)
    refused(bad, "parameters.x.min: is 2, above max", update, bowl(parameters={"x": {"min": 2, "max": 1}}))
    refused(bad, "leave the other fields out", update, bowl(), run_cap=3)


def test_a_target_and_the_budgets_end_a_sweep(client: SweepClient) -> None:
    sweep = client.create(bowl(metric={**LOSS, "target": 0.1})).id
    agent = client.agent(sweep)
    trials = client.lease(agent, 3).trials
    assert client.end(agent, trials[0], 0.2).verdict == GO
    assert client.end(agent, trials[1], math.nan).verdict == GO
    said = client.end(agent, trials[2], 0.05)
    assert (said.verdict, said.reason) == (STOP, "trial 3 reached the target of 0.1 with 0.05")
    costly = client.create(bowl(budget={"cost": 10})).id
    agent = client.agent(costly)
    trials = client.lease(agent, 3).trials
    assert client.end(agent, trials[0], 1.0, cost=4.0).verdict == GO
    said = client.end(agent, trials[1], 1.0, cost=6.0)
    assert (said.verdict, said.cause) == (STOP, pb.STOP_CAUSE_BUDGET)
    assert client.lease(agent).cause == pb.STOP_CAUSE_BUDGET
    assert client.end(agent, trials[2], 1.0).accepted
    short = client.create(bowl(budget={"wall_time": 1})).id
    client.lease(client.agent(short))
    wait_for(lambda: client.sweep(short).state == pb.SWEEP_STATE_FINISHED, "the end of the time")


# Restart


def test_a_sweep_goes_on_after_the_service_was_killed(server: SweepServer, client: SweepClient) -> None:
    sweeps = [client.create(definition).id for definition in (GRID, bowl(), {**bowl(), "method": "tpe"})]
    held = []
    for sweep in sweeps:
        agent = client.agent(sweep, "a")
        first, second = client.lease(agent, 2).trials
        client.end(agent, first, *([1.0] if sweep != sweeps[0] else []))
        held.append((sweep, agent, second))
    server.kill()
    server.start()
    for sweep, agent, leased in held:
        assert not client.beat(agent, leased).stop
        assert client.end(agent, leased).accepted
        assert client.lease(agent).trials[0].trial.number == 3
        assert client.sweep(sweep).counts.running == 1


def test_a_sweep_is_repeated_by_its_seed(client: SweepClient) -> None:
    found = []
    for _ in range(2):
        sweep = client.create({**bowl(), "method": "bayes", "run_cap": 12}).id
        agent = client.agent(sweep)
        while (answer := client.lease(agent)).verdict == GO:
            x = json.loads(answer.trials[0].trial.parameters_json)["x"]
            client.end(agent, answer.trials[0], (x - 0.3) ** 2)
        found.append([trial.parameters_json for trial in client.trials(sweep)])
    assert len(found[0]) == 12 and found[0] == found[1]


def test_known_results_are_added_and_learned_from(client: SweepClient) -> None:
    sweep = client.create({**GRID, "metric": LOSS, "parameters": {"a": {"min": 1, "max": 3}}}).id
    request = pb.AddTrialsRequest(sweep=sweep, request_id="once")
    request.trials.add(parameters_json='{"a": 2, "other": 1}', values=[0.5])
    assert list(client.call("AddTrials", request).numbers) == [1]
    assert list(client.call("AddTrials", request).numbers) == [1], "said again, it is the same"
    agent = client.agent(sweep)
    leased = client.lease(agent, 5).trials
    assert [(one.trial.number, one.trial.parameters_json) for one in leased] == [(2, '{"a":1}'), (3, '{"a":3}')]
    client.end(agent, leased[0], 0.7)
    summary = client.summary(sweep)
    assert [trial.number for trial in summary.best] == [1, 2]
    assert [(one.number, one.value) for one in summary.improvements] == [(1, 0.5)]
    bad = pb.AddTrialsRequest(sweep=sweep)
    bad.trials.add(parameters_json='{"z": 2}', values=[0.5])
    refused(grpc.StatusCode.INVALID_ARGUMENT, "none of the sweep's parameters", client.call, "AddTrials", bad)


# Who may, and what is said


def test_who_may_what(server: SweepServer, client: SweepClient) -> None:
    sweep = client.create(bowl()).id
    agent = client.agent(sweep)
    viewer = server.client(server.new_key("vera", role=Role.VIEWER))
    assert viewer.sweep(sweep).id == sweep and viewer.trials(sweep) == []
    denied = grpc.StatusCode.PERMISSION_DENIED
    refused(denied, "may not write", viewer.create, bowl())
    for call, arguments in (
        (viewer.agent, [sweep]),
        (viewer.lease, [agent]),
        (viewer.command, [sweep, pb.SWEEP_COMMAND_STOP]),
    ):
        refused(denied, "may read the sweeps of 'main'", call, *arguments)
    eve = server.client(server.new_key("eve", team="rivals"))
    for call, arguments in ((eve.sweep, [sweep]), (eve.agent, [sweep]), (eve.trials, [sweep])):
        refused(grpc.StatusCode.NOT_FOUND, f"there is no sweep '{sweep}' that you can read", call, *arguments)
    refused(grpc.StatusCode.NOT_FOUND, "there is no agent", eve.lease, agent)
    refused(grpc.StatusCode.NOT_FOUND, "there is no team 'main'", eve.create, bowl(), team="main")
    viewer.close()
    eve.close()


def test_a_bad_definition_is_told_where_and_a_good_one_can_be_checked_without_being_made(client: SweepClient) -> None:
    bad = bowl(parameters={"lr": {"min": 1, "max": 0}})
    refused(grpc.StatusCode.INVALID_ARGUMENT, "parameters.lr.min: is 1, above max (0)", client.create, bad)
    checked = client.create({**GRID, "project": "unmade"}, project="", check_only=True)
    assert (checked.id, checked.size, checked.project) == ("", 100, "unmade")
    refused(
        grpc.StatusCode.NOT_FOUND,
        "no project 'unmade'",
        client.call,
        "ListSweeps",
        pb.ListSweepsRequest(project="unmade"),
    )
    refused(grpc.StatusCode.INVALID_ARGUMENT, "project: name it", client.create, GRID, project="")
    once = [client.create(GRID, request_id="the-same").id for _ in range(2)]
    assert once[0] == once[1]
