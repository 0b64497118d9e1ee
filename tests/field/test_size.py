"""Documents that are larger than any message: the run starts, its points are kept, the documents come back whole."""

from __future__ import annotations

import json

from runstream.api import Api
from tests.field.user import command, play, rows
from tests.field.wire import Client
from tests.support.stack import ServiceStack

SCRIPT = """
import runstream
config = {"text": "ü" * (2 << 20), "many": {f"k{n}": "v" * 200 for n in range(4000)}, "lr": 0.1,
          "list": [[n, str(n)] for n in range(50_000)]}
run = runstream.init(id="r", config=config, notes="n" * (2 << 20), tags=["t"])
run.summary["report"] = "y" * (2 << 20)
for step in range(10):
    run.log({"loss": step})
assert run.finish(timeout=120)
"""

RESUMED = """
import runstream
run = runstream.init(id="r", resume="must")
assert run.config["text"] == "ü" * (2 << 20) and run.config["list"][1] == [1, "1"], run.config["text"][:99]
assert run.notes == "n" * (2 << 20) and run.summary["report"] == "y" * (2 << 20)
assert run.finish(timeout=60)
"""


def test_a_run_starts_with_documents_larger_than_a_message_and_they_come_back_whole(
    stack: ServiceStack, project: str
) -> None:
    played = play(SCRIPT, timeout_s=200)
    assert played.code == 0, played.err
    run = Api().run(f"{project}/r")
    assert run.completeness["verdict"] == "complete" and run.completeness["points_stored"] == 10
    assert run.config["text"] == "ü" * (2 << 20) and run.config["lr"] == 0.1 and run.tags == ["t"]
    assert run.config["list"] == [[n, str(n)] for n in range(50_000)]
    assert len(run.config) == 4003 and run.config["many.k3999"] == "v" * 200
    assert run.summary["report"] == "y" * (2 << 20) and run.summary["loss"] == 9.0
    assert "too large to be shown" in run.notes and run.large_values("run")["notes"] == "n" * (2 << 20)

    resumed = play(RESUMED, timeout_s=100, RUNSTREAM_RESUME_TIMEOUT_S="60")
    assert resumed.code == 0, resumed.err

    listed = next(iter(Api().runs(project)))
    assert len(listed.message.SerializeToString()) < 3 << 20, "a list carries no large values"
    assert listed.config == run.config

    run.config["lr"] = 0.2
    run.update()
    assert Api().run(f"{project}/r").config["lr"] == 0.2
    assert Api().run(f"{project}/r").config["text"] == "ü" * (2 << 20), "an edit sends what was changed alone"

    assert command("delete", f"{project}/r", "--yes").code == 0
    question = "SELECT count() FROM run_fields FINAL WHERE project = {project:String}"
    assert rows(stack, question, project=f"main/{project}") == [(0,)]


def test_runs_with_documents_without_end_leave_their_project_listable(stack: ServiceStack, project: str) -> None:
    config = json.dumps({f"key {n}": n for n in range(9_000)})
    for number in range(4):
        client = Client(stack, project, f"wide-{number}")
        start = {"start": {"world_size": 1, "environment": {}, "config_json": config}}
        assert client.send(client.batch(start)) == ""
    runs = Api().runs(project, per_page=1000)
    assert len(next(iter(runs)).config) == 9000 and len(runs._runs) == 2, "a page ends where it is full"
    assert [run.id for run in runs] == [f"wide-{n}" for n in range(4)], "the next one goes on from there"
    assert [run.id for run in Api().runs(project, fields=["config.key 1"], per_page=1000)] == [run.id for run in runs]
