"""`init`, `log`, `config`, `summary`, `finish` without a server: offline mode writes the real spool."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import pytest

import runstream
from runstream.base.notices import RunstreamWarning
from runstream.errors import SettingsError, SpoolError, UsageError
from runstream.settings import Settings
from runstream.spool.folder import SpoolFolder, read_meta
from tests.unit.test_spool import Collected, read_all


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("RUNSTREAM_") and name != "RUNSTREAM_REQUIRE_REAL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("RUNSTREAM_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("RUNSTREAM_MODE", "offline")
    monkeypatch.setenv("RUNSTREAM_SILENT", "true")
    monkeypatch.setenv("RUNSTREAM_CONSOLE", "off")
    monkeypatch.setenv("RUNSTREAM_SYSTEM_METRICS", "false")
    monkeypatch.setattr(runstream, "run", None)


def stored(run: runstream.Run) -> Collected:
    return read_all(Path(run.spool_dir))[0]


def records(run: runstream.Run, kind: str) -> list[dict[str, Any]]:
    payloads = [json.loads(data) for _, data in stored(run).texts]
    return [payload["value"] for payload in payloads if payload["kind"] == kind]


def test_a_run_from_start_to_finish() -> None:
    run = runstream.init(project="digits", name="first", config={"lr": 0.1}, tags=["a", "b"], notes="hello")
    for step in range(3):
        runstream.log({"loss": 1.0 - step, "acc": step})
    assert runstream.summary["loss"] == -1.0
    assert run.step == 3
    runstream.finish()
    assert runstream.run is None
    (start,) = records(run, "start")
    assert (start["name"], start["notes"], start["tags"]) == ("first", "hello", ["a", "b"])
    assert json.loads(start["config_json"]) == {"lr": 0.1}
    (finish,) = records(run, "finish")
    assert (finish["points"], finish["records"], finish["outcome"]) == (6, 4, "OUTCOME_FINISHED")
    assert [(step, values) for _, _, step, values in stored(run).rows] == [
        (0, (1.0, 0.0)),
        (1, (0.0, 1.0)),
        (2, (-1.0, 2.0)),
    ]
    meta = read_meta(Path(run.spool_dir))
    assert (meta.project, meta.run, meta.rank, meta.offline) == ("digits", run.id, 0, True)


def test_nested_dicts_strings_and_odd_values_are_sorted_out() -> None:
    run = runstream.init(project="p")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            run.log({"a": {"b": 1, "c": {"d": True}}, "note": "hi", "bad": object(), 5: 1.0, "list": [1, 2]}, step=4)
    rows = {key: value for keys, _, _, values in stored(run).rows for key, value in zip(keys, values, strict=True)}
    assert rows == {"a.b": 1.0, "a.c.d": 1.0}
    assert records(run, "text")[0] == {"key": "note", "step": 4, "value": "hi"}
    sentences = [str(item.message) for item in caught if item.category is RunstreamWarning]
    assert len(sentences) == 2  # once a kind, although logged three times
    assert [one["key"] for one in records(run, "histogram")] == ["list"] * 3
    assert any("log() skipped 'bad': unsupported type object" in sentence for sentence in sentences)
    assert any("key 5 is a int" in sentence for sentence in sentences)
    run.finish()


def test_an_empty_name_is_left_out_and_its_siblings_kept() -> None:
    run = runstream.init(project="p")
    with pytest.warns(RunstreamWarning, match="skipped an empty key"):
        run.log({"": 1.0, "good": 2.0})
    assert [keys for keys, *_ in stored(run).rows] == [("good",)]
    run.finish()


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        ("x" * 1025, "x" * 1013 + f"\u2026{zlib.crc32(b'x' * 1025):08x}"),
        ("new\nline", r"new\x0aline"),
        ("nul\0", r"nul\x00"),
        ("c1\x85", r"c1\x85"),
        (b"Pr\xfcf".decode("utf-8", "surrogateescape"), r"Pr\xfcf"),
    ],
    ids=["long", "lf", "nul", "c1", "no UTF-8"],
)
def test_names_that_no_server_takes_are_kept_visibly_otherwise(key: str, kept: str) -> None:
    run = runstream.init(project="p", settings={"strict": True})
    with pytest.warns(UserWarning, match="is kept as"):
        run.log({key: 1.0, "good": 2.0})
    assert [keys for keys, *_ in stored(run).rows] == [(kept, "good")]
    run.finish()


def test_strict_settings_raise_where_others_warn() -> None:
    run = runstream.init(project="p", settings={"strict": True})
    with pytest.raises(UsageError, match="unsupported type"):
        run.log({"x": object()})
    run.finish()


def test_steps_may_be_repeated_decrease_and_be_numpy_like() -> None:
    class Index:
        def __index__(self) -> int:
            return 41

    run = runstream.init(project="p")
    run.log({"x": 1.0}, step=10)
    run.log({"x": 2.0}, step=3)
    run.log({"x": 3.0}, step=3)
    run.log({"x": 4.0}, step=Index())  # type: ignore[arg-type]
    run.log({"x": 5.0})
    run.log({"x": 6.0}, commit=False)
    run.log({"y": 7.0})
    with pytest.warns(RunstreamWarning, match="no whole number"):
        run.log({"x": 8.0}, step=1.5)  # type: ignore[arg-type]
    assert [step for _, _, step, _ in stored(run).rows] == [10, 3, 3, 41, 42, 43, 43]
    run.finish()


def test_a_dict_of_a_hundred_thousand_metrics_is_kept_whole() -> None:
    run = runstream.init(project="p")
    run.log({f"layer/{index}/norm": float(index) for index in range(100_000)})
    run.finish()
    sink = stored(run)
    rows = {key: value for keys, _, _, values in sink.rows for key, value in zip(keys, values, strict=True)}
    assert rows == {f"layer/{index}/norm": float(index) for index in range(100_000)}


def test_config_takes_namespaces_and_guards_values() -> None:
    run = runstream.init(project="p", config=argparse.Namespace(lr=0.1, layers=[1, 2]))
    assert run.config.lr == 0.1 and run.config["layers"] == [1, 2]
    run.config["batch"] = 32
    with pytest.raises(UsageError, match="allow_val_change"):
        run.config.lr = 0.2
    run.config.update({"lr": 0.2}, allow_val_change=True)
    updates = [(field["key"], json.loads(field["value_json"])) for field in records(run, "field")]
    assert updates == [("batch", 32), ("lr", 0.2)]
    run.finish()


def test_logging_after_finish_warns_and_records_nothing() -> None:
    run = runstream.init(project="p")
    run.finish()
    with pytest.warns(RunstreamWarning, match="is finished"):
        run.log({"x": 1.0})
    assert not stored(run).rows


def test_disabled_mode_writes_nothing(tmp_path: Path) -> None:
    run = runstream.init(project="p", mode="disabled")
    run.log({"x": 1.0})
    run.config["a"] = 1
    assert run.finish()
    assert not (tmp_path / "state").exists()


def test_threads_may_log_at_once() -> None:
    run = runstream.init(project="p")

    def work(name: str) -> None:
        for step in range(2000):
            run.log({name: float(step)}, step=step)

    threads = [threading.Thread(target=work, args=(f"t{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.finish()
    rows = stored(run).rows
    assert sorted(number for _, number, _, _ in rows) == list(range(2, 8002))
    for index in range(4):
        assert [step for keys, _, step, _ in rows if keys == (f"t{index}",)] == list(range(2000))


def test_a_forked_child_writes_to_a_stream_of_its_own(tmp_path: Path) -> None:
    run = runstream.init(project="p")
    run.log({"parent": 1.0})
    child = os.fork()
    if child == 0:
        try:
            run.log({"child": 2.0}, step=7)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    run.log({"parent": 3.0})
    run.finish()
    folders = {read_meta(folder).helper: folder for folder in SpoolFolder(tmp_path / "state").stream_folders()}
    assert [keys for keys, *_ in read_all(folders[False])[0].rows] == [("parent",), ("parent",)]
    assert [(keys, step) for keys, _, step, _ in read_all(folders[True])[0].rows] == [(("child",), 7)]
    assert read_meta(folders[True]).run == run.id


def _return(run: runstream.Run) -> None:
    run.log({"child": 1})


def _raise(run: runstream.Run) -> None:
    run.log({"child": 1})
    raise ValueError("wrong")


def _exit(run: runstream.Run) -> None:
    run.log({"child": 1})
    sys.exit(3)


def _wait_for_signal(run: runstream.Run) -> None:
    run.log({"child": 1})
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()


@pytest.mark.parametrize(
    ("function", "exit_code", "outcome"),
    [(_return, 0, "FINISHED"), (_raise, 1, "FAILED"), (_exit, 3, "FAILED"), (_wait_for_signal, 143, "PREEMPTED")],
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_multiprocessing_ends_as_its_function_does(
    function: Any, exit_code: int, outcome: str, tmp_path: Path
) -> None:
    run = runstream.init(project="p", reinit="create_new")
    child = multiprocessing.get_context("fork").Process(target=function, args=(run,))
    child.start()
    child.join()
    folders = {read_meta(folder).helper: folder for folder in SpoolFolder(tmp_path / "state").stream_folders()}
    texts = [json.loads(data) for _, data in read_all(folders[True])[0].texts]
    (finish,) = [record["value"] for record in texts if record["kind"] == "finish"]
    assert (finish["exit_code"], finish["outcome"], finish["points"]) == (exit_code, f"OUTCOME_{outcome}", 1)
    assert not run.finished and not records(run, "finish")
    run.finish()


@pytest.mark.parametrize("first", ["in a thread", "in a function of a sweep"])
def test_sigterm_is_drained_also_where_the_first_run_could_not_watch_it(first: str) -> None:
    script = (
        "import os, signal, sys, threading, time\n"
        "import runstream\n"
        "def start():\n"
        "    runstream.init(project='p', reinit='create_new').finish()\n"
        "if sys.argv[1] == 'in a thread':\n"
        "    thread = threading.Thread(target=start)\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "else:\n"
        "    signal.signal(signal.SIGTERM, lambda *told: None)\n"
        "    start()\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "run = runstream.init(project='p')\n"
        "run.log({'x': 1.0})\n"
        "print(run.spool_dir, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, first], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGTERM, done.stderr
    texts = [json.loads(data) for _, data in read_all(Path(done.stdout.strip()))[0].texts]
    assert texts[-1]["value"]["outcome"] == "OUTCOME_PREEMPTED"


def test_an_exception_on_its_way_out_fails_the_run(tmp_path: Path) -> None:
    script = (
        "import runstream\n"
        "run = runstream.init(project='p')\n"
        "print(run.spool_dir)\n"
        "run.log({'x': 1.0})\n"
        "raise SystemError('boom')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "boom" in done.stderr
    texts = [json.loads(data) for _, data in read_all(Path(done.stdout.strip()))[0].texts]
    assert texts[-1]["value"]["outcome"] == "OUTCOME_FAILED"


def test_the_api_key_is_kept_out_of_the_spool_and_private(tmp_path: Path) -> None:
    key = "rs_0123456789ab_" + "s" * 43
    run = runstream.init(project="p", settings=Settings.from_environment(None, api_key=key))
    run.log({"x": 1.0})
    run.finish()
    root = tmp_path / "state"
    credentials = root / "credentials.json"
    assert key in credentials.read_text()
    assert credentials.stat().st_mode & 0o077 == 0 and root.stat().st_mode & 0o077 == 0
    for path in (root / "streams").rglob("*"):
        if path.is_file():
            assert b"s" * 43 not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RUNSTREAM_MODE", "sometimes"),
        ("RUNSTREAM_BASE_URL", "localhost"),
        ("RUNSTREAM_GATEWAY", "nowhere"),
        ("RUNSTREAM_RANK", "one"),
        ("RUNSTREAM_SILENT", "perhaps"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=value):
        runstream.init(project="p")


@pytest.mark.parametrize("project", ["", "a/b", "..", "x" * 129, "sp ace", "ümlaut"])
def test_a_project_name_that_cannot_be_used_says_so(project: str) -> None:
    with pytest.raises(UsageError, match="project"):
        runstream.init(project=project)


def test_a_spool_folder_that_cannot_be_used_does_not_stop_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a-file"
    file.touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    run = runstream.init(project="p", dir=str(file / "spool"), reinit="create_new")
    assert "instead" in capsys.readouterr().err
    run.log({"a": 1.0})
    assert run.spool_dir.startswith(str(tmp_path / "runstream-")) and run.points_logged == 1
    run.finish()
    with pytest.raises(SpoolError):
        runstream.init(project="p", dir=str(file / "spool"), reinit="create_new", settings={"strict": True})


def test_a_folder_of_somebody_else_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    monkeypatch.setattr("os.geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(SpoolError, match="belongs to user"):
        runstream.init(project="p", dir=str(folder), reinit="create_new", settings={"strict": True})


def test_a_clock_that_jumps_back_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run = runstream.init(project="p", reinit="create_new")
    looked: list[int] = []
    monkeypatch.setattr(type(run), "_check_liveness", lambda self: looked.append(1))
    now = 1_700_000_000_000_000_000
    for moment in (now, now + 10**9, now - 3600 * 10**9, now - 3599 * 10**9):
        monkeypatch.setattr("runstream.runs.run._time_ns", lambda moment=moment: moment)
        run.log({"a": 1.0})
    run.finish()
    assert [step for _, _, step, _ in stored(run).rows] == [0, 1, 2, 3]
    assert len(looked) == 2, "when the clock went back, too"


def test_circular_and_odd_configs_are_kept_as_far_as_they_go() -> None:
    circular: dict[str, Any] = {"lr": 0.1}
    circular["self"] = circular
    run = runstream.init(project="p", config={"a": circular, "b": {1, 2}, "c": float("nan")}, reinit="create_new")
    run.finish()
    (start,) = records(run, "start")
    config = json.loads(start["config_json"])
    assert config["a"]["lr"] == 0.1 and config["b"] == [1, 2] and config["c"] == "NaN"


def test_settings_go_arguments_first_then_settings_then_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTREAM_NAME", "variable")
    monkeypatch.setenv("RUNSTREAM_NOTES", "variable")
    monkeypatch.setenv("RUNSTREAM_JOB_TYPE", "variable")
    monkeypatch.setenv("WANDB_RUN_GROUP", "wandb")
    settings = runstream.Settings(name="settings", notes="settings")
    run = runstream.init(project="p", name="argument", settings=settings, reinit="create_new")
    assert (run.name, run.notes, run.job_type, run.group) == ("argument", "settings", "variable", "")
    run.finish()
    monkeypatch.setenv("RUNSTREAM_WANDB_VARIABLES", "true")
    run = runstream.init(project="p", reinit="create_new")
    assert run.group == "wandb"
    run.finish()
    assert "rs_" not in repr(runstream.Settings(api_key="rs_0123456789ab_" + "x" * 43))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda run: run.define_metric("a", summary="median"), "median"),
        (lambda run: run.define_metric("a", summary="best"), "needs goal"),
        (lambda run: run.define_metric("a", goal="up"), "minimize or maximize"),
        (lambda run: run.define_metric(""), "name"),
        (lambda run: run.alert("t", level="LOUD"), "INFO, WARN or ERROR"),
        (lambda run: run.save("nowhere/*.pt"), "no file matches"),
        (lambda run: run.save("s3://bucket/x"), "no local file"),
        (lambda run: run.watch(object()), "torch.nn.Module"),
        (lambda run: run.log([1]), "dict"),
        (lambda run: run.log({"a": 1}, step="x"), "whole number"),
    ],
)
def test_bad_arguments_are_said_once_and_raise_nothing(call: Any, words: str) -> None:
    run = runstream.init(project="p", reinit="create_new")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        call(run)
        call(run)
    assert len(said) == 1 and words in str(said[0].message)
    run.finish()


def test_threads_that_log_at_once_take_steps_of_their_own() -> None:
    run = runstream.init(project="threads", settings=Settings(spool_segment_kb=8))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [run.log({"value": 1.0}) for _ in range(1500)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert run.step == 6000
    run.finish()
    assert sorted(step for _, _, step, _ in stored(run).rows) == list(range(6000))


def test_given_steps_and_commit_move_the_default_step() -> None:
    run = runstream.init(project="steps")
    for arguments in (
        {},
        {"commit": False},
        {},
        {"step": 10, "commit": False},
        {},
        {"step": 20},
        {"commit": False},
        {},
    ):
        run.log({"value": 1.0}, **arguments)
    run.finish()
    assert [step for _, _, step, _ in stored(run).rows] == [0, 1, 1, 10, 2, 20, 21, 21]
    assert run.step == 22


def test_a_log_that_comes_after_finish_says_so_and_what_it_says_is_true() -> None:
    """Threads log while the run is finished: what was not refused is in the spool, and the finish record counts it."""
    run = runstream.init(project="late", settings=Settings(strict=True, spool_segment_kb=8))
    kept: list[int] = []
    started = threading.Barrier(5)

    def work(thread: int) -> None:
        started.wait()
        for step in range(100_000):
            try:
                run.log({f"thread {thread}": float(step)}, step=step)
            except UsageError:
                return
            kept.append(thread)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    run.finish()
    for thread in threads:
        thread.join()
    rows = stored(run).rows
    (finish,) = records(run, "finish")
    assert len(rows) == len(kept) == finish["points"]


def test_sys_exit_in_a_thread_is_not_how_the_process_ended() -> None:
    script = (
        "import sys, threading, runstream\n"
        "run = runstream.init(project='exits', mode='offline')\n"
        "thread = threading.Thread(target=lambda: sys.exit(3)); thread.start(); thread.join()\n"
        "print(run.spool_dir)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    texts = read_all(Path(done.stdout.split()[-1]))[0].texts
    assert json.loads(texts[-1][1])["value"]["outcome"] == "OUTCOME_FINISHED"
