"""A project as a folder and back: two exports, with an import between them, are equal but for what is documented."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from runstream.api import Api
from runstream.archive.exporter import export_project
from runstream.archive.importer import import_project
from runstream.archive.layout import ArchiveError
from runstream.cli import main as command_line
from tests.support.stack import ServiceStack, clean_environment

PROJECT = "archive"
RANK = """
import math, sys
import numpy as np
import runstream
from runstream.data.image import Image
rank, attempt = int(sys.argv[1]), int(sys.argv[2])
run = runstream.init(
    project="archive", id="job", rank=rank, world_size=2, resume="allow", name="the job", tags=["a", "b"], notes="ä",
    group="g", config={"lr": 0.1, "model": {"depth": 3, "names": ["x"]}, "big": 2**60},
)
for step in range(300):
    loss = math.nan if step == 7 else 1 / (step + 1) + rank + attempt
    run.log({"loss": loss, "grad/norm": math.inf, "n": step}, step=step)
    if step % 100 == 50:
        run.log({"loss": float(step)}, step=step - 3)
run.log({"text": f"rank {rank} ü\\n2"}, step=3)
run.log({"hist": runstream.Histogram([1, 2, 2, 3])}, step=4)
if rank == 0:
    run.log({"table": runstream.Table(columns=["a", "b"], data=[[1, "x"], [2.5, None]])}, step=5)
    run.log({"image": Image(np.zeros((4, 5, 3), dtype=np.uint8), caption="black")}, step=6)
    run.define_metric("loss", summary="min", goal="minimize")
    run.summary["best"] = 0.5
    run.alert("diverged", text="nan at 7", level="ERROR")
    print("a line of the console", flush=True)
run.finish()
"""
OTHERS = """
import runstream
for name, exit_code in (("ok", 0), ("bad", 3)):
    run = runstream.init(project="archive", id=name, name=name.upper(), job_type="eval", config={"x": name})
    run.log({"a.b": 1.5, "loss": 2.0})
    run.finish(exit_code=exit_code)
"""
LEFT_OUT = {"received", "run_created", "user", "points", "records", "epoch"}
"""Of the table `streams`: what the server says anew, and counts of what was logged, not of what survived."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceStack]:
    stack = ServiceStack(tmp_path_factory.mktemp("stack")).start()
    environment = {
        **clean_environment(),
        **stack.sdk_environment(stack.folder / "spool"),
        "RUNSTREAM_CONSOLE": "auto",
    }
    for attempt in (0, 1):  # the second rewrites what the first logged
        ranks = [
            subprocess.Popen([sys.executable, "-c", RANK, str(rank), str(attempt)], env=environment) for rank in (0, 1)
        ]
        assert [rank.wait(60) for rank in ranks] == [0, 0]
    subprocess.run([sys.executable, "-c", OTHERS], env=environment, check=True, timeout=60)
    yield stack
    stack.stop()


@pytest.fixture(autouse=True)
def known_server(stack: ServiceStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.sdk_environment(tmp_path / "spool").items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def exported(stack: ServiceStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = pytest.MonkeyPatch()
    for name, value in stack.sdk_environment(stack.folder / "spool").items():
        patch.setenv(name, value)
    folder = tmp_path_factory.mktemp("archive") / "first"
    settled = Api().run(f"{PROJECT}/job")
    from tests.support.processes import wait_for

    wait_for(lambda: settled.completeness["verdict"] == "complete", "the job to be stored")
    export_project(Api(), PROJECT, folder)
    patch.undo()
    return folder


def canonical(folder: Path) -> dict[str, list[str]]:
    """What is in an export, without what is documented to change: sorted lines of each table."""
    manifest = json.loads((folder / "manifest.json").read_text())
    found = {}
    names = [name for name in manifest["files"] if name.endswith(".parquet")]
    writers = numbered_writers(folder)
    for name in names:
        lines = []
        for row in parquet.read_table(folder / name).to_pylist():
            for column in LEFT_OUT if name == "streams.parquet" else {"epoch"}:
                row.pop(column, None)
            if "writer" in row:
                row["writer"] = writers.get(row["writer"], row["writer"])
            lines.append(repr(sorted(row.items())))
        found[name] = sorted(lines)
    found["contents"] = sorted(path.name for path in (folder / "contents").glob("*/*"))
    runs = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
    kept = ["id", "name", "notes", "tags", "group", "job_type", "state", "duration_s", "config", "summary"]
    found["runs"] = sorted(json.dumps({name: run.get(name) for name in kept}, sort_keys=True) for run in runs)
    return found


def numbered_writers(folder: Path) -> dict[str, str]:
    """Writer -> its run and place among the run's attempts."""
    rows = parquet.read_table(folder / "streams.parquet", columns=["run", "epoch", "writer"]).to_pylist()
    ordered = sorted({(row["run"], row["epoch"], row["writer"]) for row in rows})
    places: dict[str, int] = {}
    numbered = {}
    for run, _, writer in ordered:
        places[run] = places.get(run, 0) + 1
        numbered[writer] = f"{run}/{places[run]}"
    return numbered


def test_an_export_holds_what_survives(exported: Path) -> None:
    manifest = json.loads((exported / "manifest.json").read_text())
    assert sorted(manifest["runs"]) == ["bad", "job", "ok"] and manifest["missing_contents"] == []
    points = parquet.read_table(exported / "points/job.parquet").to_pylist()
    assert len(points) == manifest["runs"]["job"]["rows"]["points"]
    loss = {(row["rank"], row["step"]): row["value"] for row in points if row["metric"] == "loss"}
    assert math.isnan(loss[0, 7]) and loss[1, 0] == 1 + 1 + 1 and loss[0, 47] == 50.0
    assert {row["value"] for row in points if row["metric"] == "grad/norm"} == {math.inf}
    for name in ("texts", "histograms", "tables", "media", "console", "alerts", "fields", "series"):
        assert parquet.read_metadata(exported / f"{name}.parquet").num_rows > 0, name
    assert len(list((exported / "contents").glob("*/*"))) == 1
    assert not list(exported.rglob("*.part")) and not (exported / "unfinished.json").exists()


def test_import_and_export_again_are_equal_and_a_second_import_changes_nothing(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = canonical(exported)
    for name in ("again-1", "again-2"):  # the second export follows a second import of the same
        assert command_line(["import", str(exported), "--project", "copy"]) == 0
        assert "3 runs" in capsys.readouterr().out
        assert command_line(["export", "copy", str(tmp_path / name)]) == 0
        assert canonical(tmp_path / name) == first
    for run in ("job", "ok", "bad"):
        found = Api().run(f"copy/{run}")
        assert found.completeness["verdict"] == "complete", run
        assert found.state == ("failed" if run == "bad" else "finished")
    assert Api().run("copy/job").config["model.depth"] == 3


def test_what_was_logged_elsewhere_is_not_imported_over(exported: Path) -> None:
    with pytest.raises(ArchiveError, match="was logged there, not imported"):
        import_project(Api(), exported, PROJECT)


def test_an_import_into_a_project_where_it_was_deleted_begins_anew(exported: Path) -> None:
    import_project(Api(), exported, "deleted-once")
    Api().run("deleted-once/job").delete()
    import_project(Api(), exported, "deleted-once")
    assert Api().run("deleted-once/job").completeness["verdict"] == "complete"


def test_an_interrupted_export_goes_on_and_a_repeated_one_fetches_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runstream.archive import exporter

    fetched: list[str] = []
    write = exporter.write_stream

    def breaking(api: Any, method: str, request: Any, path: Path) -> int:
        if len(fetched) == 4:
            raise ConnectionError("the network is gone")
        fetched.append(path.name)
        return write(api, method, request, path)

    monkeypatch.setattr(exporter, "write_stream", breaking)
    with pytest.raises(ConnectionError):
        export_project(Api(), PROJECT, tmp_path / "out")
    assert len(fetched) == 4 and not (tmp_path / "out/manifest.json").exists()
    with pytest.raises(ArchiveError, match="no finished export"):
        import_project(Api(), tmp_path / "out", "nowhere")
    with pytest.raises(ArchiveError, match="choose another folder, or ask the same"):
        export_project(Api(), PROJECT, tmp_path / "out", runs=["ok"])
    before = list(fetched)
    fetched[:] = []
    monkeypatch.setattr(exporter, "write_stream", lambda *a: (fetched.append(a[3].name), write(*a))[1])
    export_project(Api(), PROJECT, tmp_path / "out")
    assert not set(before) & set(fetched) and len(before) + len(fetched) == 3 + 11
    fetched[:] = []
    export_project(Api(), PROJECT, tmp_path / "out")
    assert fetched == []


def test_some_runs_and_other_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["export", PROJECT, str(tmp_path / "csv"), "--runs", "ok,bad", "--format", "csv"]) == 0
    assert "2 runs, 4 points" in capsys.readouterr().out
    lines = (tmp_path / "csv/points/ok.csv").read_text().splitlines()
    assert lines[0] == '"run","metric","rank","step","value","time","epoch"'
    runs = {line.split(",")[0] for line in (tmp_path / "csv/fields.csv").read_text().splitlines()[1:]}
    assert runs == {'"ok"', '"bad"'}
    filtered = '{"state": "failed"}'
    assert command_line(["export", PROJECT, str(tmp_path / "failed"), "--filter", filtered]) == 0
    assert "1 runs, 2 points" in capsys.readouterr().out
    assert {row["run"] for row in parquet.read_table(tmp_path / "failed/fields.parquet").to_pylist()} == {"bad"}
    assert command_line(["import", str(tmp_path / "csv"), "--project", "nowhere"]) == 1
    assert "only parquet is imported" in capsys.readouterr().err
    assert command_line(["export", PROJECT, str(tmp_path / "x"), "--runs", "nope"]) == 1
    assert "there is no run 'nope'" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    assert command_line(["export", PROJECT, str(tmp_path / "full")]) == 1
    assert "is not empty" in capsys.readouterr().err


def test_a_damaged_export_is_not_imported(exported: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(exported, tmp_path / "damaged")
    with (tmp_path / "damaged/points/ok.parquet").open("r+b") as file:
        file.seek(10)
        file.write(b"\xff\xff")
    with pytest.raises(ArchiveError, match="not what the manifest says"):
        import_project(Api(), tmp_path / "damaged", "nowhere")
