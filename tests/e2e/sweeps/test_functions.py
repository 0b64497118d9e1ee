"""Sweeps within a Python program: agents that call functions, ask and tell, Optuna's studies; the real servers."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

import runstream
import runstream as wandb
from runstream.api import Api
from runstream.integrations.optuna import RunstreamCallback
from runstream.sweeps.client import Client
from tests.faults.sweeps import LEASE_S
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

PROJECT = "functions"


@pytest.fixture(autouse=True)
def sdk(stack: ServiceStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.sdk_environment(tmp_path / "spool").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RUNSTREAM_AGENT_LEASE_S", f"{LEASE_S:g}")


def values_known(sweep: str) -> bool:
    found = Client().call("GetSweepSummary", sweep=sweep)
    return int(found.get("values_pending", 0)) == 0


def test_a_script_written_for_wandb_runs_its_sweep() -> None:
    configuration = {
        "name": "sweepdemo",
        "method": "random",
        "metric": {"goal": "maximize", "name": "val_acc"},
        "parameters": {
            "batch_size": {"values": [16, 32, 64]},
            "epochs": {"value": 2},
            "lr": {"max": 0.1, "min": 0.0001},
        },
    }

    def main() -> None:
        run = wandb.init()
        for epoch in range(wandb.config.epochs):
            wandb.log({"epoch": epoch, "val_acc": 1 - wandb.config.lr + wandb.config["batch_size"] / 1000})
        assert run.sweep_id == sweep_id

    sweep_id = wandb.sweep(sweep=configuration, project=PROJECT)
    wandb.agent(sweep_id, function=main, count=4)
    sweep = runstream.Sweep(f"{PROJECT}/{sweep_id}")
    assert sweep.state == "running" and sweep.counts["finished"] == 4 and sweep.name == "sweepdemo"
    wait_for(lambda: values_known(sweep_id), "the values")
    top = sweep.top(4)
    expected = [1 - trial.parameters["lr"] + trial.parameters["batch_size"] / 1000 for trial in top]
    assert [trial.value for trial in top] == pytest.approx(expected) == sorted(expected, reverse=True)
    assert wandb.run is None and "RUNSTREAM_RUN_ID" not in os.environ
    ranked = Api().rank(PROJECT, "val_acc", sweep=sweep_id)
    assert [run.id for _, run in ranked] == [trial.run for trial in top]


def test_an_exception_fails_its_trial_and_the_agent_goes_on(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSTREAM_AGENT_DISABLE_FLAPPING", "true")
    sweep_id = runstream.sweep(
        {"method": "grid", "parameters": {"x": {"values": [1, 2, 3]}}, "retries": 1}, project=PROJECT
    )
    calls: list[int] = []

    def train() -> None:
        run = runstream.init()
        calls.append(run.config.x)
        if run.config.x == 2:
            raise ZeroDivisionError("no twos")
        if run.config.x == 3 and calls.count(3) == 1:
            sys.exit("not yet")

    runstream.agent(sweep_id, train)
    found = {trial.parameters["x"]: trial for trial in runstream.Sweep(sweep_id).trials()}
    assert sorted(calls) == [1, 2, 2, 3, 3]
    assert [found[x].state for x in (1, 2, 3)] == ["finished", "failed", "finished"]
    assert found[2].message == "ZeroDivisionError: no twos"
    assert Api().run(f"{PROJECT}/{found[2].run}").state == "failed"
    assert "no twos" in capfd.readouterr().err, "the traceback is printed"


def test_early_stopping_ends_the_hopeless_and_agents_go_on() -> None:
    config = {
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"x": {"values": [0, 1, 2, 3, 4, 5]}},
        "early_terminate": {"type": "hyperband", "min_iter": 5, "eta": 3},
    }
    sweep_id = runstream.sweep(config, project=PROJECT)
    ends: dict[int, str] = {}

    def train() -> None:
        run = runstream.init()
        x = run.config.x
        ends[x] = "stopped"
        long = x >= 3  # the later ones go on until they are stopped; the first end before anybody judges them
        try:
            for _ in range(1500 if long else 200):
                run.log({"loss": float(x)})
                time.sleep(0.02 if long else 0)
                if x == 4 and run.should_stop:
                    ends[x] = "asked"
                    return
        except Exception:  # noqa: BLE001  # what training loops have: it must not swallow the end
            ends[x] = "swallowed"
        else:
            ends[x] = "ran out"

    runstream.agent(sweep_id, train)
    sweep = runstream.Sweep(sweep_id)
    assert ends == {0: "ran out", 1: "ran out", 2: "ran out", 3: "stopped", 4: "asked", 5: "stopped"}
    states = {trial.parameters["x"]: trial.state for trial in sweep.trials()}
    assert states == {0: "finished", 1: "finished", 2: "finished", 3: "pruned", 4: "pruned", 5: "pruned"}
    pruned = next(trial for trial in sweep.trials("pruned"))
    assert Api().run(f"{PROJECT}/{pruned.run}").state == "finished"
    wait_for(lambda: values_known(sweep_id), "the values")
    best = sweep.best()
    assert best is not None and best.parameters == {"x": 0}


FORKING = """
import multiprocessing, sys, threading, time, runstream
from runstream.sweeps.agent_session import AgentSession

beat = AgentSession._beat_once
AgentSession._beat_once = lambda self: min(beat(self), 0.001)  # as often as it can: every fork falls into a heartbeat

def work(number, queue):
    queue.put(sum(range(number)))

def train():
    run = runstream.init()
    context = multiprocessing.get_context("fork")
    for turn in range(60):
        queue = context.SimpleQueue()
        process = context.Process(target=work, args=(turn, queue))
        process.start()
        assert queue.get() == sum(range(turn))
        process.join(20)
        assert process.exitcode == 0, "a forked worker hangs"
        run.log({"turn": turn})

runstream.agent(sys.argv[1], train)
"""


def test_workers_may_be_forked_within_the_function_while_heartbeats_go_out() -> None:
    sweep_id = runstream.sweep({"method": "grid", "parameters": {"x": {"values": [1]}}}, project=PROJECT)
    done = subprocess.run(
        [sys.executable, "-c", FORKING, sweep_id], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    (trial,) = runstream.Sweep(sweep_id).trials()
    assert trial.state == "finished" and Api().run(f"{PROJECT}/{trial.run}").summary["turn"] == 59


TERMINATED = """
import os, signal, sys, time, runstream

def train():
    run = runstream.init()
    run.log({"x": 1.0})
    os.kill(os.getpid(), signal.Signals[sys.argv[2]])
    time.sleep(30)

runstream.agent(sys.argv[1], train)
"""


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", -2)])
def test_a_signal_gives_the_trial_back_and_ends_the_agent(name: str, status: int) -> None:
    sweep_id = runstream.sweep({"method": "grid", "parameters": {"x": {"values": [1]}}}, project=PROJECT)
    command = [sys.executable, "-c", TERMINATED, sweep_id, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    (trial,) = runstream.Sweep(sweep_id).trials()
    assert (trial.state, trial.attempt) == ("queued", 1)
    assert Api().run(f"{PROJECT}/{trial.run}").state == "preempted"


@pytest.mark.parametrize("heading", ["Use", "Ask and tell", "Optuna"])
def test_the_documents_examples_run(heading: str, study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path("docs/sweeps.md").read_text(encoding="utf-8")
    block = text.split(f"\n## {heading}\n", 1)[1].split("```python\n", 1)[1].split("```", 1)[0]
    config = {
        "method": "grid",
        "metric": {"name": "value"},
        "parameters": {"lr": {"values": [1, 2]}},
    }
    known: dict[str, Any] = {"runstream": runstream, "study": study, "objective": lambda trial: trial.number}
    known["sweep_id"] = runstream.sweep(config, project="digits")
    exec(compile(block, "docs/sweeps.md", "exec"), known)  # our own page
    if heading == "Use":
        assert runstream.Sweep(known["sweep_id"]).counts["finished"] == 5
    if heading == "Ask and tell":
        assert known["sweep"].best().parameters == {"lr": 2}


# Ask and tell


def test_ask_and_tell_drive_a_sweep() -> None:
    config = {
        "method": "grid",
        "metric": {"name": "distance", "goal": "minimize"},
        "parameters": {"x": {"values": [-2, 0.5, 3]}, "deep": {"parameters": {"y": {"value": 1}}}},
    }
    with runstream.Sweep(runstream.sweep(config, project=PROJECT)) as sweep:
        first, second = sweep.ask(), sweep.ask()
        assert first is not None and second is not None and first.params["deep"] == {"y": 1}
        for step in range(3):
            second.report(abs(second.params["x"]), step)
        assert not second.should_stop
        assert sweep.tell(second, abs(second.params["x"]))
        assert sweep.tell(first, math.nan)
        assert sweep.tell(first, 0.0) is False, "it was told before"
        third = sweep.ask()
        assert third is not None
        assert sweep.tell(third, state="failed", message="out of memory")
        assert sweep.ask(timeout=5) is None and sweep.state == "finished"
        assert [trial.parameters["x"] for trial in sweep.top()] == [0.5, -2]
        best = sweep.best()
        assert best is not None and (best.value, best.number) == (0.5, second.number)
        (failed,) = sweep.trials("failed")
        assert failed.message == "out of memory"


def test_a_sweep_that_is_closed_gives_back_what_was_not_told() -> None:
    config = {"method": "grid", "parameters": {"x": {"values": [1, 2]}}}
    sweep_id = runstream.sweep(config, project=PROJECT)
    with runstream.Sweep(sweep_id) as sweep:
        assert sweep.ask() is not None
    assert runstream.Sweep(sweep_id).counts["running"] == 0
    with runstream.Sweep(sweep_id) as sweep:
        assert sum(sweep.tell(trial) for trial in sweep) == 2


# Optuna


@pytest.fixture
def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name="parabola",
        direction="minimize",
        sampler=optuna.samplers.RandomSampler(seed=1),
        pruner=optuna.pruners.ThresholdPruner(upper=40.0),
    )


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -10, 10)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    if trial.number == 3:
        raise ValueError("trial 3")
    for step in range(3):
        trial.report(x * x, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x * x + (kind == "b")


@pytest.mark.parametrize("tracked", [True, False])
def test_a_study_of_optuna_is_a_group_of_runs_that_are_ranked(tracked: bool, study: optuna.Study) -> None:
    project = f"optuna-{tracked}"
    callback = RunstreamCallback(project=project)
    tried = callback.track(objective) if tracked else objective
    study.optimize(tried, n_trials=8, callbacks=[callback], catch=(ValueError,))
    callback.finish()
    runs = {run.name: run for run in Api().runs(project)}
    assert len(runs) == 8
    states = {trial.number: trial.state.name.lower() for trial in study.trials}
    assert {"complete", "pruned", "fail"} == set(states.values())
    for trial in study.trials:
        run = Api().run(f"{project}/{runs[f'trial-{trial.number}'].id}")
        assert run.config["x"] == pytest.approx(trial.params["x"]) and run.config["kind"] == trial.params["kind"]
        assert run.summary["optuna.state"] == states[trial.number]
        assert run.state == ("failed" if trial.number == 3 else "finished")
        assert run.group == "parabola"
        if trial.intermediate_values:
            assert run.summary["intermediate_value"] == pytest.approx(trial.params["x"] ** 2)
    top = callback.top(study, 5)
    ranked = Api().rank(project, "value", goal="minimize", k=5)
    assert top[0].number == study.best_trial.number
    assert [run.name for _, run in ranked] == [f"trial-{trial.number}" for trial in top]
    assert runstream.run is None


def test_a_whole_study_may_be_one_run_as_with_wandbs_callback() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=2))
    callback = RunstreamCallback(metric_name=["loss", "speed"], wandb_kwargs={"project": "whole"}, as_multirun=False)

    def two(trial: Any) -> tuple[float, float]:
        x = trial.suggest_float("x", 0, 1)
        return x, -x

    study.optimize(two, n_trials=5, callbacks=[callback])
    callback.finish()
    (run,) = Api().runs("whole")
    found = Api().run(f"whole/{run.id}").history(keys=["x", "loss", "speed"], pandas=False)
    assert [row["loss"] for row in found] == [trial.params["x"] for trial in study.trials]
    assert [row["speed"] for row in found] == [-trial.params["x"] for trial in study.trials]
