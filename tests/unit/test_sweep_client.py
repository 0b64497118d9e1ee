"""Sweeps in the training process: parameters as config, paths, files, tables for people."""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runstream
from runstream.cli import main as command_line
from runstream.errors import InvalidRequestError, SettingsError, UsageError
from runstream.runs import active_trial as trials
from runstream.runs.active_trial import ActiveTrial, StopOrder, TrialStopped, stop_mark
from runstream.runs.config import Config
from runstream.sweeps import view
from runstream.sweeps.create import as_json, read_yaml
from runstream.sweeps.sweep_info import TrialInfo, parse_path


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("RUNSTREAM_")]:
        monkeypatch.delenv(name)
    settings = {"DIR": str(tmp_path / "spool"), "MODE": "offline", "SILENT": "true", "CONSOLE": "off"}
    for name, value in settings.items():
        monkeypatch.setenv(f"RUNSTREAM_{name}", value)
    return tmp_path


@pytest.fixture
def trial(offline: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As an agent's child: run `sw-1` with parameters."""
    path = offline / "parameters.json"
    path.write_text(json.dumps({"lr": 0.5, "model": {"depth": 7, "head": {"width": 3}}, "opt.beta": 0.9}))
    variables = {"SWEEP_PARAM_PATH": str(path), "SWEEP_ID": "abc", "RUN_ID": "sw-1", "PROJECT": "swept"}
    for name, value in variables.items():
        monkeypatch.setenv(f"RUNSTREAM_{name}", value)
    return path


def test_a_trials_parameters_win_over_init_and_nested_ones_join(trial: Path) -> None:
    with runstream.init(config={"lr": 0.1, "epochs": 3, "model": {"depth": 1, "name": "mlp"}}) as run:
        assert (run.id, run.project, run.sweep_id) == ("sw-1", "swept", "abc")
        assert run.config.as_dict() == {
            "lr": 0.5,
            "epochs": 3,
            "model": {"depth": 7, "name": "mlp", "head": {"width": 3}},
            "opt.beta": 0.9,
        }
        assert run.config.model.head.width == 3 and run.config["opt.beta"] == 0.9
        assert not run.should_stop


def test_project_and_id_of_init_are_ignored_in_a_trial_with_a_warning(trial: Path) -> None:
    with pytest.warns(UserWarning, match=r"trial of a sweep") as said:
        with runstream.init(project="other", id="mine", name="my name") as run:
            assert (run.id, run.project, run.name) == ("sw-1", "swept", "my name")
    assert [str(one.message).partition(":")[2].partition(":")[0] for one in said] == [
        " init(project='other')",
        " init(id='mine')",
    ]


def test_all_ranks_of_a_trial_log_to_its_run(trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "3", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    with runstream.init() as run:
        assert (run.id, run.rank, run.world_size) == ("sw-1", 3, 4)


def test_parameters_that_cannot_be_read_are_named(trial: Path) -> None:
    trial.write_text("{")
    with pytest.raises(SettingsError, match="RUNSTREAM_SWEEP_PARAM_PATH"):
        runstream.init()


def test_setting_a_parameter_of_the_sweep_is_ignored_and_other_keys_are_set() -> None:
    changes: list[tuple[str, Any]] = []
    config = Config({"a": 1}, lambda key, value: changes.append((key, value)), fixed={"lr": 0.5, "opt": {"beta": 1}})
    with pytest.warns(UserWarning, match=r"config.lr is a parameter of the sweep, 0.5"):
        config.lr = 0.1
    config.update({"lr": 0.2, "b": 2, "opt": {"beta": 3, "eps": 4}}, allow_val_change=True)
    assert config.as_dict() == {"a": 1, "lr": 0.5, "opt": {"beta": 1, "eps": 4}, "b": 2}


def test_sigterm_to_a_trial_that_the_sweep_stopped_ends_its_run_well(trial: Path) -> None:
    script = (
        "import os, signal, runstream; run = runstream.init(); run.log({'x': 1}); os.kill(os.getpid(), signal.SIGTERM)"
    )
    for stopped in (False, True):
        if stopped:
            stop_mark(str(trial)).touch()
        done = subprocess.run([sys.executable, "-c", script], check=False)
        assert done.returncode == -15
    texts = [path.read_bytes() for path in (trial.parent / "spool").rglob("*") if path.is_file()]
    assert sum(b"OUTCOME_PREEMPTED" in text for text in texts) == 1
    assert sum(b"OUTCOME_FINISHED" in text for text in texts) == 1


# Being stopped


@pytest.fixture
def active(offline: Path, monkeypatch: pytest.MonkeyPatch) -> ActiveTrial:
    """As in an agent's function."""
    found = ActiveTrial(1)
    monkeypatch.setattr(trials, "current", found)
    return found


def test_the_next_log_of_a_stopped_trial_raises_and_keeps_its_values(active: ActiveTrial) -> None:
    run = runstream.init()
    run.log({"loss": 1.0})
    active.stop(StopOrder("pruned", "it was the worst"))
    run.define_metric("loss", summary="min")
    with pytest.raises(TrialStopped, match="it was the worst") as caught:
        run.log({"loss": 2.0})
    assert caught.value.cause == "pruned"
    assert not isinstance(caught.value, Exception), "`except Exception` around a step must not swallow it"
    assert run.points_logged == 2
    with pytest.raises(TrialStopped):
        run.log({"loss": 3.0, "text": "slow path"})
    run.finish()


def test_a_program_that_asks_should_stop_is_not_interrupted(active: ActiveTrial) -> None:
    run = runstream.init()
    assert not run.should_stop
    active.stop(StopOrder("pruned", "no"))
    run.log({"loss": 1.0})
    assert run.should_stop
    run.finish()


def test_a_run_that_begins_after_the_order_is_stopped_too_and_a_forked_worker_is_not(active: ActiveTrial) -> None:
    active.stop(StopOrder("sweep_cancelled", "bye"))
    run = runstream.init()
    pid = os.fork()
    if pid == 0:
        try:
            run.log({"worker": 1.0})
        except TrialStopped:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    with pytest.raises(TrialStopped):
        run.log({"loss": 1.0})
    run.finish()


HEARS = """
import sys, time, runstream
from pathlib import Path
run = runstream.init()
folder = Path(run.spool_dir)
if len(sys.argv) > 1:
    (folder / "stop.json").write_text(sys.argv[1])
run._recorder.stream.state.request_stop()  # as the sender does when the server says so
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    run.log({"loss": 1.0})
    time.sleep(0.01)
sys.exit(5)
"""


def test_a_program_hears_from_its_stream_that_its_trial_is_to_stop_and_ends_well(trial: Path) -> None:
    environment = {**os.environ, "RUNSTREAM_SILENT": "false"}
    command = [sys.executable, "-c", HEARS, json.dumps({"cause": "pruned", "reason": "it was the worst"})]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "run sw-1 is to stop: it was the worst" in done.stderr and "Traceback" not in done.stderr
    assert stop_mark(str(trial)).exists(), "its agent is to see why it ended"
    texts = [path.read_bytes() for path in (trial.parent / "spool").rglob("*") if path.is_file()]
    assert any(b"OUTCOME_FINISHED" in text for text in texts)


def test_a_trial_that_asks_should_stop_hears_from_its_stream_and_is_not_interrupted(trial: Path) -> None:
    with runstream.init() as run:
        assert not run.should_stop
        assert run._recorder.stream is not None
        run._recorder.stream.state.request_stop()
        assert run.should_stop and stop_mark(str(trial)).exists()
        run._recorder.next_check_us = 0
        run.log({"loss": 1.0})
        run.log({"loss": 1.0})


def test_a_run_of_no_sweep_is_asked_to_stop_and_never_interrupted(offline: Path) -> None:
    with runstream.init() as run:
        assert run._recorder.stream is not None and not run.should_stop
        run._recorder.stream.state.request_stop()
        run._recorder.next_check_us = 0
        run.log({"loss": 1.0})
        run.log({"loss": 1.0})
        assert run.should_stop and run.stop_requested


# Paths, files, tables


def test_paths_of_sweeps() -> None:
    assert parse_path("s") == ("", "", "s")
    assert parse_path("p/s", "t") == ("t", "p", "s")
    assert parse_path("t/p/s", "other", "other") == ("t", "p", "s")
    for wrong in ("", "a/", "a/b/c/d"):
        with pytest.raises(InvalidRequestError, match="give SWEEP, project/SWEEP or team/project/SWEEP"):
            parse_path(wrong)


def test_yaml_numbers_are_what_people_mean(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "parameters:\n  lr: {min: 1e-4, max: 1E-1, step: 5.e-4}\n  n: {values: [1, 2.5, .5e-1, 1e, x-1e3]}\n"
    )
    found = read_yaml(path)["parameters"]
    assert found == {"lr": {"min": 1e-4, "max": 0.1, "step": 5e-4}, "n": {"values": [1, 2.5, 0.05, "1e", "x-1e3"]}}


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "is no YAML"), ("- 1", "holds no configuration"), ("", "holds no configuration")],
)
def test_files_that_are_no_configuration_are_refused_in_one_line(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    assert command_line(["sweep", str(path)]) == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_without_pyyaml_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without_yaml(name: str, *rest: Any, **more: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_yaml)
    (tmp_path / "sweep.yaml").write_text("method: grid")
    assert command_line(["sweep", str(tmp_path / "sweep.yaml")]) == 1
    assert "pip install 'runstream[sweep]'" in capsys.readouterr().err


def test_numpy_values_are_numbers_and_what_is_no_value_is_named() -> None:
    assert json.loads(as_json({"a": np.float64(0.5), "b": np.arange(3), "c": (1, 2), "d": range(2)})) == {
        "a": 0.5,
        "b": [0, 1, 2],
        "c": [1, 2],
        "d": [0, 1],
    }
    with pytest.raises(UsageError, match="no value that a configuration holds"):
        as_json({"a": object()})


def trial_info(number: int, **fields: Any) -> TrialInfo:
    found = {"number": str(number), "state": "TRIAL_STATE_FINISHED", "parameters_json": "{}", **fields}
    return TrialInfo.of(found)


def test_a_trial_is_read_from_what_the_server_says() -> None:
    found = trial_info(7, values=[0.5, "NaN"], value_state="VALUE_STATE_KNOWN", leased="2026-01-02T03:04:05.123456789Z")
    assert (found.number, found.state, found.value_state, found.value) == (7, "finished", "known", 0.5)
    assert np.isnan(found.values[1])
    assert found.leased == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)


def test_tables_fit_into_their_width_and_cut_only_the_last_column() -> None:
    rows = tuple((str(place), "finished", f"{place / 7:.6g}", "x" * 200) for place in range(3))
    text = view.plain_table(view.SweepTable("Top", ("trial", "state", "value", "parameters"), rows), 80)
    assert max(len(line) for line in text.splitlines()) == 80
    assert "0.285714" in text and text.count("…") == 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.25 s"), (59, "59 s"), (200, "3 min 20 s"), (3600, "1 h"), (7500, "2 h 5 min"), (280_000, "3 d 5 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert view.duration(seconds) == text
