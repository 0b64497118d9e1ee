"""Sweeps from the users' side, against the real servers: the command line, agents of programs, what survives what."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import google.protobuf
import grpc
import psutil
import pytest
import typing_extensions
import yaml

import runstream
from runstream.api import Api
from runstream.cli import main as command_line
from runstream.sweeps.client import Client
from runstream.sweeps.sweep_info import TrialInfo
from tests.faults.sweeps import LEASE_S, storm
from tests.integrations.conftest import ROOT, torch_interpreter
from tests.support.long import long
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

PROGRAM = Path(__file__).with_name("trial_program.py")


@pytest.fixture
def place(stack: ServiceStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the trials' programs say what they got."""
    variables = stack.sdk_environment(tmp_path / "spool")
    variables |= {"RUNSTREAM_AGENT_LEASE_S": f"{LEASE_S:g}", "TRIAL_PLACE": str(tmp_path / "said")}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "said").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "said"


def made(parameters: dict[str, Any], **more: Any) -> str:
    config = {"method": "grid", "program": str(PROGRAM), "parameters": parameters, **more}
    return runstream.sweep(config, project="programs")


def trials(sweep: str) -> list[TrialInfo]:
    return list(runstream.Sweep(sweep).trials())


def said(place: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in place.glob("*.json")]
    return sorted(found, key=lambda one: str(one["config"].get("x")))


def agent(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "runstream.cli", "agent", *arguments]
    environment = {**os.environ, "RUNSTREAM_SILENT": "false", **variables}
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def ended(process: subprocess.Popen[str], timeout_s: float = 60.0) -> tuple[int, str]:
    """Its exit status and what it said on standard error."""
    try:
        _, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.terminate()
        _, errors = process.communicate(timeout=30)
        raise AssertionError(f"the agent did not end:\n{errors}") from None
    return process.returncode, errors


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


# The command line

TUTORIAL = """
import sys, runstream as wandb

def main():
    run = wandb.init(config={"learning_rate": 7})
    wandb.log({"accuracy": 1 - (wandb.config.learning_rate - 0.042) ** 2})

wandb.agent(sys.argv[1], function=main)
"""
"""Several of them at once: a trial is mostly waiting until all that it logged is stored."""


def test_the_tutorials_sweep_has_a_hundred_trials_and_its_best_is_found(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tutorial = {
        "method": "grid",
        "metric": {"goal": "maximize", "name": "accuracy"},
        "parameters": {"learning_rate": {"min": 0.001, "max": 0.1, "step": 0.001}},
    }
    Path("sweep.yaml").write_text(yaml.safe_dump(tutorial))
    assert command_line(["sweep", "sweep.yaml", "--project", "tutorial", "--name", "the tutorial's"]) == 0
    printed = capsys.readouterr()
    path = re.search(r"runstream agent (\S+)", printed.err)
    assert path is not None and "100 trials" in printed.err
    assert printed.out == path[1].rpartition("/")[2] + "\n", "what a script reads is the id alone"

    agents = [subprocess.Popen([sys.executable, "-c", TUTORIAL, path[1]]) for _ in range(5)]
    assert [process.wait(180) for process in agents] == [0] * 5
    sweep = runstream.Sweep(path[1])
    assert sweep.state == "finished" and sweep.counts["finished"] == 100
    values = sorted(trial.parameters["learning_rate"] for trial in sweep.trials())
    assert values == pytest.approx([step / 1000 for step in range(1, 101)])
    assert command_line(["sweep", "show", path[1], "--watch", "--interval", "0.2"]) == 0  # until all values are known
    assert "still to come" not in capsys.readouterr().out.split("\n\nsweep ")[-1]
    assert command_line(["sweep", "best", path[1], "--yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {"learning_rate": pytest.approx(0.042)}
    best = sweep.best_run()
    assert best.summary["accuracy"] == pytest.approx(1.0) and best.config["learning_rate"] == pytest.approx(0.042)
    assert best.sweep_id == sweep.id
    assert command_line(["sweep", "show", sweep.id, "--top", "5"]) == 0
    shown = capsys.readouterr().out
    assert "100 of 100 trials ended" in shown and "learning_rate=0.042" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert command_line(["sweep", "list", "--project", "tutorial"]) == 0
    assert f"{sweep.id}  finished  100/100" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sweep", "show", "nosuch12"], "nosuch12"),
        (["agent", "nosuch12"], "nosuch12"),
        (["agent", "a/b/c/d"], "give SWEEP, project/SWEEP or team/project/SWEEP"),
        (["sweep", "missing.yaml"], "No such file"),
        (["sweep", "bad.yaml", "--project", "p"], "parameters.lr"),
        (["agent", "nosuch12", "--count", "0"], "1 or more"),
        (["sweep", "--pause", "nosuch12"], "nosuch12"),
    ],
)
def test_errors_are_one_line_that_says_what_is_wrong(
    command: list[str], words: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.yaml").write_text("method: grid\nparameters: {lr: {min: 2, max: 1}}\n")
    assert command_line(command) == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and error.startswith(f"runstream {command[0]}: ")


def test_a_bad_key_and_another_address_are_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = made({"x": {"values": [1]}})
    monkeypatch.setenv("RUNSTREAM_API_KEY", "rs_000000000000_" + "x" * 43)
    assert command_line(["agent", sweep]) == 1
    assert "key" in capsys.readouterr().err
    monkeypatch.setenv("RUNSTREAM_BASE_URL", "http://127.0.0.1:1")
    assert command_line(["sweep", "show", sweep]) == 1
    assert "cannot reach the server at http://127.0.0.1:1: Connection refused" in capsys.readouterr().err


def test_a_viewer_may_look_and_not_work(
    stack: ServiceStack, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = made({"x": {"values": [1]}})
    making = ["create", "--team", "main", "--user", "eve", "--role", "viewer"]
    assert command_line(["key", "--control-url", stack.control_url, *making]) == 0
    monkeypatch.setenv("RUNSTREAM_API_KEY", capsys.readouterr().out.strip())
    assert command_line(["sweep", "show", sweep]) == 0
    for command in (["agent", sweep], ["sweep", "--cancel", sweep]):
        assert command_line(command) == 1
        error = capsys.readouterr().err
        assert "may read the sweeps of 'main' but not" in error and error.count("\n") == 1


def test_a_finished_sweep_says_so_and_pause_and_resume_work(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = made({"x": {"values": [1, 2]}})
    for order, state in (("--pause", "paused"), ("--resume", "running"), ("--stop", "finished")):
        assert command_line(["sweep", order, sweep]) == 0
        assert f"sweep {sweep} is {state}" in capsys.readouterr().out
    status, errors = ended(agent(sweep))
    assert status == 0 and "the sweep is over" in errors
    assert not said(place)


def test_a_sweep_is_changed_by_its_file_while_it_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"method": "random", "program": str(PROGRAM), "parameters": {"x": {"min": 0, "max": 9}}, "run_cap": 1}
    Path("s.yaml").write_text(yaml.safe_dump(config))
    assert command_line(["sweep", "s.yaml", "--project", "programs"]) == 0
    sweep = capsys.readouterr().out.strip()
    assert ended(agent(sweep))[0] == 0
    Path("s.yaml").write_text(yaml.safe_dump({**config, "run_cap": 2}))
    assert command_line(["sweep", "s.yaml", "--update", sweep]) == 0
    assert f"go on with:  runstream sweep --resume main/programs/{sweep}" in capsys.readouterr().out
    assert command_line(["sweep", "--resume", sweep]) == 0
    assert ended(agent(sweep))[0] == 0
    assert [trial.state for trial in trials(sweep)] == ["finished", "finished"]
    assert runstream.Sweep(sweep).update(max_parallel=3, run_cap=None).get("max_parallel") == 3
    assert "run_cap" not in runstream.Sweep(sweep).config
    capsys.readouterr()
    Path("s.yaml").write_text(yaml.safe_dump({**config, "parameters": {"x": {"min": 0, "max": 10}}}))
    assert command_line(["sweep", "s.yaml", "--update", sweep]) == 1
    error = capsys.readouterr().err
    assert error.startswith("runstream sweep: parameters.x.max: cannot be changed") and error.count("\n") == 1


# Programs


def test_a_programs_trials_get_their_parameters_in_every_way(place: Path) -> None:
    parameters = {
        "x": {"values": [1, 2]},
        "model": {"parameters": {"depth": {"value": 3}}},
        "flag": {"value": True},
        "off": {"value": False},
    }
    macros = ["${args}", "|", "${args_no_hyphens}", "|", "${args_no_boolean_flags}", "|", "${args_json}", "|"]
    command = ["${env}", "${interpreter}", "${program}", *macros, "${args_json_file}", "in-${envvar:TRIAL_WORD}-word"]
    sweep = made(parameters, command=command)
    status, errors = ended(agent(f"programs/{sweep}", "--parallel", "2", TRIAL_WORD="the"))
    assert status == 0, errors
    found = said(place)
    assert [one["config"]["x"] for one in found] == [1, 2]
    for x, one in enumerate(found, start=1):
        *arguments, word = one["arguments"]
        plain, no_hyphens, no_flags, as_json, json_file = " ".join(arguments).split(" | ")
        model = "{'depth': 3}"
        assert sorted(re.split(r" (?=--)", plain)) == sorted(
            [f"--x={x}", f"--model={model}", "--flag=True", "--off=False"]
        )
        assert sorted(re.split(r" (?=\w+=)", no_hyphens)) == sorted(
            [f"x={x}", f"model={model}", "flag=True", "off=False"]
        )
        assert sorted(re.split(r" (?=--)", no_flags)) == sorted([f"--x={x}", f"--model={model}", "--flag"])
        assert json.loads(as_json) == {"x": x, "model": {"depth": 3}, "flag": True, "off": False}
        assert json_file.endswith(".json") and not Path(json_file).exists(), "it is removed after the trial"
        assert word == "in-the-word"
        assert one["config"] == {
            "default": 1,
            "x": x,
            "model": {"name": "mlp", "depth": 3},
            "flag": True,
            "off": False,
        }
        assert one["sweep"] == sweep
    run = Api().run(f"programs/{found[0]['run']}")
    assert run.sweep_id == sweep and run.config["model.depth"] == 3 and run.name == "trial-1"


def test_a_failing_program_is_tried_again_and_then_fails_with_its_words(place: Path) -> None:
    sweep = made({"kind": {"values": ["failing", "killed"]}}, retries=1)
    status, errors = ended(agent(sweep, RUNSTREAM_AGENT_DISABLE_FLAPPING="true"))
    assert status == 0, errors
    failing, killed = trials(sweep)
    assert (failing.state, failing.attempt, failing.message) == (
        "failed",
        2,
        "ValueError: the learning rate is too large",
    )
    assert (killed.state, killed.exit_code, killed.message) == ("failed", -9, "killed by SIGKILL")
    assert len(said(place)) == 4


def test_an_agent_whose_trials_all_fail_is_stopped_with_its_reason(place: Path) -> None:
    sweep = made({"kind": {"value": "failing"}, "x": {"values": list(range(20))}})
    status, errors = ended(agent(sweep))
    assert status == 1
    assert len(said(place)) < 6
    assert re.search(r"^runstream agent: .*fail", errors, re.MULTILINE), errors


def test_sigterm_to_the_agent_gives_the_trial_back_and_its_run_is_continued(place: Path) -> None:
    sweep = made({"kind": {"value": "long"}})
    first = agent(sweep)
    wait_for(lambda: len(said(place)) == 1, "the trial")
    run = said(place)[0]
    wait_for(lambda: bool(_stored(run["run"])), "its first values")
    first.send_signal(signal.SIGTERM)
    status, errors = ended(first)
    assert status == 143 and "goes back to the pool" in errors
    assert not alive(run["pid"])
    assert [(trial.state, trial.attempt) for trial in trials(sweep)] == [("queued", 1)]
    assert Api().run(f"programs/{run['run']}").state == "preempted"
    (place / "let-go").touch()
    status, errors = ended(agent(sweep))
    assert status == 0, errors
    again = next(one for one in said(place) if one["pid"] != run["pid"])
    assert again["run"] == run["run"] and again["resumed"] and again["step"] > 0
    assert [trial.state for trial in trials(sweep)] == ["finished"]
    assert Api().run(f"programs/{run['run']}").state == "finished"


def _stored(run: str) -> dict[str, Any]:
    try:
        return Api().run(f"programs/{run}").summary
    except runstream.RunstreamError:
        return {}


def test_sigkill_of_the_agent_leaves_no_child_and_the_trial_is_anothers(place: Path) -> None:
    sweep = made({"kind": {"value": "long"}})
    first = agent(sweep)
    wait_for(lambda: len(said(place)) == 1, "the trial")
    pid = said(place)[0]["pid"]
    first.kill()
    first.communicate()
    wait_for(lambda: not alive(pid), "the end of the program")
    (place / "let-go").touch()
    status, errors = ended(agent(sweep))
    assert status == 0, errors
    assert [(trial.state, trial.attempt) for trial in trials(sweep)] == [("finished", 2)]


def test_a_trial_whose_lease_was_lost_ends_here_and_counts_there(place: Path) -> None:
    sweep = made({"kind": {"value": "long"}})
    first = agent(sweep)
    wait_for(lambda: len(said(place)) == 1, "the trial")
    pid = said(place)[0]["pid"]
    first.send_signal(signal.SIGSTOP)  # as a machine that hangs: its program goes on, its heartbeats do not
    (place / "let-go").touch()
    status, errors = ended(agent(sweep))
    assert status == 0, errors
    first.send_signal(signal.SIGCONT)  # on a busy machine its run may have been told by now, and its program be gone
    status, errors = ended(first)
    assert status == 0 and "was another agent's by then" in errors
    assert not alive(pid)
    assert [(trial.state, trial.attempt) for trial in trials(sweep)] == [("finished", 2)]


def test_cancelling_ends_what_runs_and_its_run_ends_well(place: Path) -> None:
    sweep = made({"kind": {"value": "long"}, "x": {"values": [1, 2]}})
    process = agent(sweep)
    wait_for(lambda: len(said(place)) == 1, "the trial")
    assert command_line(["sweep", "--cancel", sweep]) == 0
    status, errors = ended(process)
    assert status == 0, errors
    assert [trial.state for trial in trials(sweep)][0] == "cancelled"
    assert Api().run(f"programs/{said(place)[0]['run']}").state == "finished"


REMOTE = """
import sys, time, runstream
run = runstream.init(**({"project": "programs", "id": sys.argv[1]} if len(sys.argv) > 1 else {}))
deadline = time.monotonic() + 30
while time.monotonic() < deadline:
    run.log({"value": 1.0})
    if len(sys.argv) > 1 and run.should_stop:
        sys.exit(7)
    time.sleep(0.02)
sys.exit(5)
"""


def test_what_no_agent_reaches_hears_from_its_stream_that_the_sweep_was_cancelled(place: Path, tmp_path: Path) -> None:
    sweep = made({"x": {"values": [1, 2]}})
    parameters = tmp_path / "elsewhere.json"
    parameters.write_text('{"x": 1}')
    with runstream.Sweep(sweep) as asking:
        first, second = asking.ask(), asking.ask()
        assert first is not None and second is not None
        rank = {"RUNSTREAM_SWEEP_ID": sweep, "RUNSTREAM_RUN_ID": first.run_id, "RUNSTREAM_PROJECT": "programs"}
        rank["RUNSTREAM_SWEEP_PARAM_PATH"] = str(parameters)
        remote = subprocess.Popen([sys.executable, "-c", REMOTE], env=os.environ | rank)
        asks = subprocess.Popen([sys.executable, "-c", REMOTE, second.run_id])
        wait_for(lambda: bool(_stored(first.run_id) and _stored(second.run_id)), "their first values")
        assert command_line(["sweep", "--cancel", sweep]) == 0
        assert (remote.wait(25), asks.wait(25)) == (0, 7)
    assert Api().run(f"programs/{first.run_id}").state == "finished"


def test_a_program_that_hears_from_its_stream_first_is_called_what_it_was_told(place: Path) -> None:
    sweep = made({"kind": {"value": "long"}})
    process = agent(sweep, RUNSTREAM_AGENT_LEASE_S="600")  # its agent would hear of it after minutes
    wait_for(lambda: len(said(place)) == 1, "the trial")
    wait_for(lambda: bool(_stored(said(place)[0]["run"])), "its first values")
    assert command_line(["sweep", "--cancel", sweep]) == 0
    status, errors = ended(process)
    assert status == 0, errors
    assert [(trial.state, trial.exit_code) for trial in trials(sweep)] == [("cancelled", 0)]
    assert Api().run(f"programs/{said(place)[0]['run']}").state == "finished"


def test_ranks_of_a_distributed_program_are_one_trial_and_one_run(place: Path) -> None:
    launcher = (
        "import os, subprocess, sys\n"
        "ranks = [subprocess.Popen([sys.executable, *sys.argv[1:]], env={**os.environ, 'RANK': str(rank), "
        "'WORLD_SIZE': '2', 'LOCAL_RANK': str(rank)}, start_new_session=True) for rank in range(2)]\n"
        "sys.exit(max(process.wait() for process in ranks))\n"
    )
    command = ["${interpreter}", "-c", launcher, "${program}", "${args}"]
    sweep = made({"x": {"values": [5]}}, command=command)
    status, errors = ended(agent(sweep))
    assert status == 0, errors
    found = said(place)
    assert sorted(one["rank"] for one in found) == [0, 1]
    assert len({one["run"] for one in found}) == 1
    run = Api().run(f"programs/{found[0]['run']}")
    assert run.world_size == 2 and run.completeness["verdict"] == "complete"
    assert [trial.state for trial in trials(sweep)] == ["finished"]


def _packages(folder: Path) -> str:
    """A PYTHONPATH with which the Python that has torch also has what runstream needs."""
    folder.mkdir()
    for package in (grpc, google.protobuf, typing_extensions):
        path = Path(str(package.__file__))
        found = path.parent if path.name == "__init__.py" else path
        found = found.parent if found.parent.name == "google" else found
        (folder / found.name).symlink_to(found)
    return os.pathsep.join([str(ROOT / "sdk"), str(ROOT / "proto"), str(folder)])


@long
def test_torchrun_with_two_processes_is_one_trial_and_one_run(place: Path, tmp_path: Path) -> None:
    torchrun = [torch_interpreter(), "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    torchrun += ["--redirects", "1", "--tee", "1"]  # torch 1.13 on Python 3.11 does not read its own default
    program = str(PROGRAM.with_name("torch_program.py"))
    command = [*torchrun, "--nproc_per_node", "2", "${program}", "${args}"]
    config = {"method": "grid", "program": program, "command": command, "parameters": {"x": {"values": [3]}}}
    sweep = runstream.sweep({**config, "metric": {"name": "value", "goal": "maximize"}}, project="programs")
    status, errors = ended(agent(sweep, PYTHONPATH=_packages(tmp_path / "packages")), 120)
    assert status == 0, errors
    found = said(place)
    assert sorted((one["config"]["x"], one["rank"], one["world"]) for one in found) == [(3, 0, 2), (3, 1, 2)]
    assert len({one["run"] for one in found}) == 1
    wait_for(lambda: all(trial.values for trial in trials(sweep)), "the value")
    assert [(trial.state, trial.values) for trial in trials(sweep)] == [("finished", (3 * 2**3 + 2.0,))]
    run = Api().run(f"programs/{found[0]['run']}")
    assert run.world_size == 2 and run.completeness["verdict"] == "complete"
    assert (run.summary["rank 0"], run.summary["rank 1"]) == (0, 1)


def test_trials_run_at_once_on_gpus_of_their_own(place: Path) -> None:
    sweep = made({"kind": {"value": "meeting"}, "x": {"values": [1, 2]}})
    status, errors = ended(agent(sweep, "--gpus-per-trial", "2", "--gpus", f"a,b,{sweep}c,{sweep}d"))
    assert status == 0, errors
    assert sorted(one["gpus"] for one in said(place)) == sorted(["a,b", f"{sweep}c,{sweep}d"])


def test_the_agent_goes_on_when_the_server_is_back(stack: ServiceStack, place: Path) -> None:
    sweep = made({"x": {"values": [1, 2, 3]}, "kind": {"value": "long"}})
    process = agent(sweep, RUNSTREAM_AGENT_LEASE_S="60")
    wait_for(lambda: len(said(place)) == 1, "the trial")
    stack.services["query"].kill()
    (place / "let-go").touch()
    os.kill(said(place)[0]["pid"], signal.SIGKILL)
    assert process.stderr is not None
    seen = ""
    while "waiting for it" not in seen:
        seen += process.stderr.readline()
    stack.start_service("query", "runstream_query", "query_ops")
    status, errors = ended(process)
    assert status == 0 and "the server is back" in errors
    assert [trial.state for trial in trials(sweep)] == ["failed", "finished", "finished"]


# Many agents


@pytest.mark.timeout(300)
def test_a_hundred_agents_of_which_twenty_are_killed_finish_every_point_once(place: Path, tmp_path: Path) -> None:
    (tmp_path / "storm").mkdir()
    outcome = storm(Client().settings, tmp_path / "storm", agents=100, points=1000, killed=20, seed=3)
    assert outcome.right, outcome
    assert (outcome.killed, outcome.killed_in_trial, outcome.failed) == (20, 20, 0), outcome
    assert outcome.lost >= 20 and outcome.attempts >= 1020, outcome
