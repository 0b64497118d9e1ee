"""What the SDK keeps beside points, from `log()` to ClickHouse and object storage, on the real stack."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from runstream.api import Api
from runstream.cli import main as command_line
from runstream_common.clickhouse.client import connect
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spool(spool: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return spool


def run_script(script: str, *arguments: str, **variables: str) -> tuple[str, str]:
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **variables}, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def rows(stack: ServiceStack, question: str, **parameters: Any) -> list[Any]:
    async def ask() -> list[Any]:
        client = await connect(stack.clickhouse.config)
        try:
            return list((await client.query(question, parameters=parameters)).result_rows)
        finally:
            await client.close()

    return asyncio.run(ask())


def fetch(path: str, key: str | None = None) -> tuple[bytes, Any]:
    key = os.environ["RUNSTREAM_API_KEY"] if key is None else key
    url = f"{os.environ['RUNSTREAM_BASE_URL']}/api/v1/{path}"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read(), response.headers


MEDIA = """
import numpy as np, runstream
run = runstream.init(project="media", id="media")
for step in range(3):
    run.log({
        "picture": [runstream.Image(np.full((4, 6, 3), 40 * step, np.uint8), caption=f"step {step}"),
                    runstream.Image(np.full((2, 2), 200, np.uint8))],
        "weights": runstream.Histogram(np.arange(100) * (step + 1), num_bins=10),
        "words": f"at {step}",
    })
run.log({"table": runstream.Table(["n", "image"], [[1, runstream.Image(np.zeros((3, 3)))]]),
         "matrix": runstream.plot.confusion_matrix(y_true=[0, 1, 1], preds=[0, 1, 0], class_names=["a", "b"])})
open("weights.bin", "wb").write(b"w" * 3_000_000)
print(run.save("weights.bin"))
run.alert("low accuracy", "0.1", level="WARN")
run.alert("low accuracy", "again")
print(run.finish(timeout=30))
"""


def test_media_histograms_tables_files_and_alerts_arrive(stack: ServiceStack, spool: Path, tmp_path: Path) -> None:
    script = f"import os; os.chdir({str(tmp_path)!r})\n" + MEDIA
    out, errors = run_script(script)
    assert out.split("\n")[1] == "True", errors
    found = rows(
        stack,
        "SELECT step, item, toString(sha256), caption, media_type, size_bytes FROM media FINAL "
        "WHERE run = 'media' AND key = 'picture' ORDER BY step, item",
    )
    assert [(step, item, caption) for step, item, _, caption, _, _ in found] == [
        (step, item, f"step {step}" if item == 0 else "") for step in range(3) for item in range(2)
    ]
    for step, item, sha256, _, media_type, size in found:
        data, headers = fetch(f"media/main/media/{sha256}?type={media_type}")
        assert hashlib.sha256(data).hexdigest() == sha256 and len(data) == size
        assert headers["content-type"] == "image/png" and headers["x-content-type-options"] == "nosniff"
        shown = PIL.Image.open(io.BytesIO(data))
        assert np.asarray(shown).ravel()[0] == (40 * step if item == 0 else 200)
    histograms = rows(stack, "SELECT step, edges, counts FROM histograms FINAL WHERE run = 'media' ORDER BY step")
    for step, edges, counts in histograms:
        expected = np.histogram(np.arange(100) * (step + 1), bins=10)
        assert counts == expected[0].tolist() and edges == expected[1].tolist()
    assert rows(stack, "SELECT step, value FROM strings FINAL WHERE run = 'media' ORDER BY step") == [
        (step, f"at {step}") for step in range(3)
    ]
    tables = {
        key: (json.loads(cells), plot)
        for key, cells, plot in rows(stack, "SELECT key, rows, plot FROM tables FINAL WHERE run = 'media'")
    }
    cell = tables["table"][0][0][1]
    assert fetch(f"media/main/media/{cell['sha256']}")[0].startswith(b"\x89PNG")
    assert tables["matrix"][0] == [["a", "a", 1], ["a", "b", 0], ["b", "a", 1], ["b", "b", 1]]
    assert json.loads(tables["matrix"][1])["type"] == "confusion_matrix"
    ((path, sha256, size),) = rows(
        stack, "SELECT path, toString(sha256), size_bytes FROM files FINAL WHERE run = 'media'"
    )
    assert (path, size) == ("weights.bin", 3_000_000) and fetch(f"media/main/media/{sha256}")[0] == b"w" * 3_000_000
    assert rows(stack, "SELECT title, level FROM alerts FINAL WHERE run = 'media'") == [("low accuracy", "warn")]
    wait_for(lambda: not any((spool / "streams").iterdir()), "the spool to be empty, its media too")


def test_media_are_for_who_may_read_the_project(stack: ServiceStack, spool: Path) -> None:
    sha256 = rows(stack, "SELECT any(toString(sha256)) FROM media WHERE run = 'media'")[0][0]
    for path, key, code in [
        (f"media/main/media/{sha256}", "", 401),
        (f"media/main/media/{sha256}", "rs_000000000000_" + "x" * 43, 401),
        (f"media/main/other/{sha256}", None, 404),
        (f"media/other/media/{sha256}", None, 404),
        (f"media/main/media/{'0' * 64}", None, 404),
        ("media/main/media/..%2f..%2fcontrol.db", None, 404),
        ("media/main/media/short", None, 400),
    ]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(path, key)
        assert refused.value.code == code, path
        refused.value.close()
    _, headers = fetch(f"media/main/media/{sha256}?type=text/html")
    assert headers["content-type"] == "application/octet-stream" and headers["content-disposition"] == "attachment"
    _, headers = fetch(f"media/main/media/{sha256}?view=html")
    policy = headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'") and "script" not in policy, "it can do nothing"


def test_the_console_is_kept_as_it_looked_and_still_shown(stack: ServiceStack, spool: Path) -> None:
    script = """
import os, sys, time, runstream
run = runstream.init(project="console", id="console")
print("from python")
os.system("echo from a child")
for percent in range(0, 101, 10):
    sys.stderr.write(f"\\r{percent} %"); sys.stderr.flush()
sys.stderr.write("\\n")
print("token=ghp_abcdefghijklmnopqrstuvwxyz0123456789")
os.write(1, b"from C, without a line end")
run.finish(timeout=30)
print(" and after")
"""
    out, errors = run_script(script, RUNSTREAM_CONSOLE="auto", PYTHONUNBUFFERED="1")
    assert out.startswith("from python\nfrom a child\ntoken=ghp_"), "what is shown is what was printed"
    assert out.endswith("from C, without a line end and after\n") and "90 %\n100 %\n" in errors, (
        "(text mode makes \\r a line end)"
    )

    def lines(output: str) -> list[str]:
        question = "SELECT text FROM console FINAL WHERE run = 'console' AND output = {output:String} ORDER BY line"
        return [text for (text,) in rows(stack, question, output=output)]

    wait_for(lambda: len(lines("stdout")) == 4 and bool(lines("stderr")), "the console's lines")
    assert lines("stdout") == ["from python", "from a child", "token=***", "from C, without a line end"]
    assert lines("stderr") == ["100 %"]


def test_what_was_printed_before_sigkill_is_kept(stack: ServiceStack, spool: Path) -> None:
    script = """
import os, signal, runstream
run = runstream.init(project="console", id="killed")
print("last words", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "RUNSTREAM_CONSOLE": "auto"}, timeout=30)
    assert done.stdout == b"last words\n"
    question = "SELECT text FROM console FINAL WHERE run = 'killed'"
    wait_for(lambda: rows(stack, question) == [("last words",)], "the last words")


def test_the_terminal_stays_a_terminal(spool: Path) -> None:
    """Under a pseudo terminal, as a person has it: what is printed looks the same, and isatty() is still true."""
    import pty

    script = """
import sys, runstream
before = sys.stdout.isatty()
run = runstream.init(project="console", id="terminal")
print("terminal", before, sys.stdout.isatty(), flush=True)
run.finish(timeout=30)
"""
    seen: list[bytes] = []

    def read(fd: int) -> bytes:
        data = os.read(fd, 4096)
        seen.append(data)
        return data

    os.environ["RUNSTREAM_CONSOLE"] = "auto"
    try:
        status = pty.spawn([sys.executable, "-c", script], read, lambda _: b"")
    finally:
        os.environ["RUNSTREAM_CONSOLE"] = "off"
    assert status == 0 and b"terminal True True\r\n" in b"".join(seen)


def test_system_metrics_of_each_process_and_once_of_the_node(stack: ServiceStack, spool: Path) -> None:
    script = """
import sys, time, runstream
run = runstream.init(project="system", id="system", rank=int(sys.argv[1]), world_size=2,
                     settings=runstream.Settings(system_metrics=True, system_interval_s=0.5))
run.log({"loss": 1.0})
sys.stdin.readline()
run.log({"loss": 1.0})
run.finish(timeout=30)
"""
    environment = {**os.environ, "RUNSTREAM_SYSTEM_METRICS": "true"}
    command = [sys.executable, "-c", script]
    processes: list[subprocess.Popen[str]] = []
    wanted = [
        *(("system/process.memory_rss_bytes", rank) for rank in range(2)),
        ("system/cpu_percent", 0),
        ("system/memory_used_bytes", 0),
    ]
    question = "SELECT count() FROM points FINAL WHERE run = 'system' AND metric = '{}' AND rank = {}"

    def sampled(ranks: int) -> bool:
        return all(rows(stack, question.format(*one))[0][0] >= 3 for one in wanted if one[1] < ranks)

    try:
        for rank in range(2):  # rank 0 comes first and goes last: the node is sampled for the first that is there
            processes.append(subprocess.Popen([*command, str(rank)], env=environment, stdin=subprocess.PIPE, text=True))
            wait_for(lambda count=rank + 1: sampled(count), "three samples of each process and of the node")
    finally:
        for process in reversed(processes):
            process.communicate("end\n", timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    assert command_line(["sync", str(spool)]) == 0
    found = {
        (metric, rank): count
        for metric, rank, count in rows(
            stack, "SELECT metric, rank, count() FROM points FINAL WHERE run = 'system' GROUP BY metric, rank"
        )
    }
    assert all(found[one] >= 3 for one in wanted)
    assert ("system/cpu_percent", 1) not in found, "the node is sampled once"
    run = Api().run("system/system")
    assert run.completeness["verdict"] == "complete" and run.state == "finished"
    assert [(last.rank, last.step) for last in run._found.last_steps] == [(0, 1), (1, 1)]


def test_definitions_make_the_summary_over_all_ranks(spool: Path) -> None:
    script = """
import sys, runstream
rank = int(sys.argv[1])
run = runstream.init(project="defined", id="defined", rank=rank, world_size=2)
run.define_metric("loss", summary="min,mean,first")
run.define_metric("acc*", summary="best", goal="maximize")
run.define_metric("noise", summary="none")
for step, loss in enumerate([3.0, 1.0, 2.0]):
    run.log({"loss": loss + rank, "accuracy": 10 * rank - step, "noise": 1.0})
if rank == 0:
    run.summary["answer"] = 42
    run.summary["wrong"] = 1
    del run.summary["wrong"]
    print(dict(run.summary))
run.finish(timeout=30)
"""
    out, _ = run_script(script, "0")
    assert eval(out) == {"loss": 2.0, "accuracy": -2.0, "loss.min": 1.0, "loss.mean": 2.0, "loss.first": 3.0,
                         "accuracy.best": 0.0, "answer": 42}  # fmt: skip
    run_script(script, "1")
    summary = Api().run("defined/defined").summary
    assert summary["loss.min"] == 1 and summary["loss.mean"] == 2.5 and summary["accuracy.best"] == 10
    assert summary["answer"] == 42 and "noise" not in summary and "wrong" not in summary


def test_a_script_of_wandbs_quickstart_runs_unchanged(stack: ServiceStack, spool: Path) -> None:
    example = (ROOT / "examples" / "wandb_quickstart.py").read_text()
    assert "import runstream as wandb" in example and example.count("runstream") == 1
    run_script(example)
    (run,) = Api().runs("my-awesome-project")
    run = Api().run(f"my-awesome-project/{run.id}")
    assert run.state == "finished" and run.completeness["verdict"] == "complete"
    assert run.name == "quickstart" and run.notes == "a first run" and sorted(run.tags) == ["baseline", "quickstart"]
    assert run.config == {"learning_rate": 0.01, "epochs": 10, "architecture": "CNN", "dataset": "CIFAR-100"}
    assert len(run.history(keys=["accuracy", "loss"], pandas=False)) == 8
    assert run.summary["best_epoch"] == 9


def test_what_wandb_knows_and_we_do_not_warns_once_and_goes_on(spool: Path) -> None:
    script = """
import argparse, warnings
import runstream as wandb
arguments = argparse.Namespace(lr=0.1, layers=[1, 2])
wandb.setup()
run = wandb.init(project="compat", id="compat", config=arguments, anonymous="allow", sync_tensorboard=True, magic=3,
                 settings=wandb.Settings(start_method="fork", _disable_stats=True, console="wrap"))
again = wandb.init(project="compat", id="other", monitor_gym=True, reinit="create_new", mode="disabled")
run.log({"a": 1}, sync=False)
wandb.define_metric("val/*", step_metric="epoch", step_sync=True)
run.alert("t", level=wandb.AlertLevel.ERROR, wait_duration=5)
assert run.config.lr == 0.1 and wandb.run is again and run.settings.system_metrics is False
again.log({"a": object()}); again.config.update({"x": 1}); again.finish()
print(run.finish(timeout=30))
"""
    out, errors = run_script(script)
    assert out.strip() == "True"
    assert errors.count("init(anonymous=...)") == 1 and errors.count("start_method") == 1


def test_configs_come_from_yaml_and_keys_can_be_chosen(spool: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("wandb_version: 1\nlr:\n  value: 0.5\nmodel:\n  depth: 3\nsecret: 7\n")
    script = f"""
import runstream
run = runstream.init(project="yaml", id="yaml", config={str(path)!r}, config_exclude_keys=["secret"])
assert run.config.model.depth == 3 and run.config["model.depth"] == 3
run.config.update({{"lr": 0.25}}, allow_val_change=True)
run.finish(timeout=30)
"""
    run_script(script)
    assert Api().run("yaml/yaml").config == {"lr": 0.25, "model.depth": 3}


def test_a_blob_that_the_server_refuses_does_not_hold_up_the_rest(stack: ServiceStack, spool: Path) -> None:
    script = """
import glob, os, runstream
run = runstream.init(project="refused", id="refused", mode="offline")
run.log({"page": runstream.Html("<b>one</b>"), "loss": 1.0})
for path in glob.glob(run.spool_dir + "/media/*"):
    open(path, "ab").write(b"changed on the disk")
run.log({"loss": 2.0})
run.finish()
"""
    run_script(script)
    assert command_line(["sync", str(spool)]) == 0
    run = Api().run("refused/refused")
    assert run.completeness["verdict"] == "complete" and run.completeness["points_stored"] == 2
    assert len(list((spool / "rejected").iterdir())) == 1
