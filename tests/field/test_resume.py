"""A run that goes on: what people wrote stays, and an id that exists is not begun anew."""

from __future__ import annotations

import pytest

import runstream
from runstream.api import Api
from runstream.base.notices import Notices
from tests.field.user import play
from tests.support.stack import ServiceStack

BEGUN = {"name": "mine", "tags": ["a"], "notes": "n", "group": "g", "config": {"lr": 0.1, "model": {"depth": 3}}}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTREAM_RESUME_TIMEOUT_S", "60")  # the machine of the tests is busy


def begin(project: str) -> None:
    with runstream.init(project=project, id="r", **BEGUN) as run:
        run.log({"loss": 1.0})
        run.summary["best"] = 7


def edit(project: str) -> None:
    run = Api().run(f"{project}/r")
    run.name, run.tags, run.config["lr"] = "by hand", ["a", "hand"], 0.5
    run.update()


def test_a_bare_resume_changes_nothing_and_has_everything(stack: ServiceStack, project: str) -> None:
    # wandb/wandb 912: the config was overwritten by a resume
    begin(project)
    edit(project)
    with runstream.init(project=project, id="r", resume="must") as run:
        assert (run.name, run.tags, run.notes, run.group) == ("by hand", ("a", "hand"), "n", "g")
        assert dict(run.config) == {"lr": 0.5, "model": {"depth": 3}} and run.config.model.depth == 3
        assert dict(run.summary) == {"loss": 1.0, "best": 7.0} and run.step == 1
    stored = Api().run(f"{project}/r")
    assert (stored.name, stored.tags, stored.notes, stored.group) == ("by hand", ["a", "hand"], "n", "g")
    assert stored.config == {"lr": 0.5, "model.depth": 3}
    assert stored.completeness["verdict"] == "complete", "changes by hand are no damage"


def test_changes_by_hand_win_over_what_is_repeated_and_lose_to_what_is_new(stack: ServiceStack, project: str) -> None:
    begin(project)
    edit(project)
    for _ in range(2):  # also when it is repeated again
        with runstream.init(project=project, id="r", resume="allow", **BEGUN) as run:
            assert (run.name, run.config.lr) == ("by hand", 0.5)
    edit(project)  # the same by hand once more: what it replaced is still what the run had said
    with runstream.init(project=project, id="r", resume="allow", **BEGUN):
        pass
    stored = Api().run(f"{project}/r")
    assert (stored.name, stored.tags, stored.config["lr"]) == ("by hand", ["a", "hand"], 0.5)
    with runstream.init(project=project, id="r", resume="allow", name="third", config={"lr": 0.7}, notes=""):
        pass
    stored = Api().run(f"{project}/r")
    assert (stored.name, stored.tags, stored.notes) == ("third", ["a", "hand"], "")
    assert stored.config == {"lr": 0.7, "model.depth": 3}


def test_an_id_that_exists_goes_on_and_is_said(
    stack: ServiceStack, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import runstream\nwith runstream.init(id='r') as run:\n    for n in range(3): run.log({'loss': n + %d})"
    assert "exists" not in play(script % 100).err
    again = play(script % 0)
    assert again.code == 0 and "run r exists: it is continued at step 3" in again.err
    rows = [(row["_step"], row["loss"]) for row in Api().run(f"{project}/r").scan_history(keys=["loss"])]
    assert rows == [(0, 100.0), (1, 101.0), (2, 102.0), (3, 0.0), (4, 1.0), (5, 2.0)]
    said: list[str] = []
    monkeypatch.setattr(Notices, "warn", lambda self, sentence: said.append(sentence))
    for rank in (1, 0):  # of a job of two: no rank moves alone
        run = runstream.init(project=project, id="r", rank=rank, world_size=2, reinit="create_new")
        assert run.step == 0
        run.finish()
    assert len(said) == 1 and "its ranks begin at step 0 again" in said[0]
