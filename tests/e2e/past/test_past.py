"""What earlier versions have left is taken along: their data folder starts, and their spool is sent."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

import runstream
from runstream.api import Api
from runstream.cli import main as command_line
from runstream.sweeps.client import Client
from tests.e2e.past.make import PROJECT, STEPS
from tests.e2e.test_up import Up
from tests.support.processes import wait_for

KEPT = sorted(Path(__file__).parent.glob("*.tar.xz"))


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_a_data_folder_and_a_spool_of_an_earlier_version_are_taken_along(
    kept: Path, up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(kept) as archive:
        archive.extractall(tmp_path, filter="data")
    for name, value in up.sdk_environment(up.start(), tmp_path / "spool").items():
        monkeypatch.setenv(name, value)
    api = Api()
    run = api.run(f"{PROJECT}/online")
    assert run.completeness["verdict"] == "complete" and run.completeness["points_stored"] == 2 * STEPS
    assert run.name == "renamed" and set(run.tags) == {"old", "by hand"} and run.notes == "kept"
    assert run.config == {"lr": 0.1} and run.summary["best"] == 0.5
    assert [row["loss"] for row in run.scan_history(["loss"])] == [1 / (step + 1) for step in range(STEPS)]
    assert run.table("table").rows == [[1, "a"], [2, "b"]]
    (listed,) = Client().call("ListSweeps", project=PROJECT)["sweeps"]
    assert listed["name"] == "an old sweep"
    tried: list[int] = []
    runstream.agent(f"{PROJECT}/{listed['id']}", function=lambda: tried.append(runstream.init().config["x"]), count=2)
    assert tried == [1, 2]

    # The spool was recorded where no server was configured: it goes to the one that is configured now.
    assert command_line(["sync", str(tmp_path / "spool")]) == 0, capsys.readouterr().err
    for name in ("offline", "killed"):
        wait_for(lambda name=name: api.run(f"{PROJECT}/{name}").completeness["points_stored"] == 2 * STEPS, name)
    assert api.run(f"{PROJECT}/offline").completeness["verdict"] == "complete"
    assert api.run(f"{PROJECT}/killed").summary["best"] == 0.5
