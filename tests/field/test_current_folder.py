"""The folder that a training is started in is the user's: nobody but the training imports from it."""

from __future__ import annotations

from pathlib import Path

from runstream.api import Api
from tests.field.user import play

SCRIPT = """
import os, sys, runstream
sys.path.remove("")  # where Python was started with -c
os.chdir(sys.argv[1])
os.environ["PYTHONPATH"] = os.pathsep.join(["", ".", sys.argv[1]])
with runstream.init(id="r") as run:
    run.log({"loss": 0.5})
"""


def test_the_sender_imports_nothing_from_the_trainings_folder(tmp_path: Path, spool: Path, project: str) -> None:
    for name in ("json", "queue", "grpc", "psutil"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(f'imported from the current folder: {__file__}')\n")
    played = play(SCRIPT, str(tmp_path), RUNSTREAM_FINISH_TIMEOUT_S="20")
    assert played.code == 0, played.err
    assert "imported from" not in (spool / "sender.log").read_text()
    assert [run.id for run in Api().runs(project)] == ["r"]
