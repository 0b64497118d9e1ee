"""A second `init()` while a run is open."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import runstream
from runstream.errors import UsageError
from runstream.runs.processes import live_runs


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RUNSTREAM_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("RUNSTREAM_MODE", "offline")
    monkeypatch.setenv("RUNSTREAM_CONSOLE", "off")
    monkeypatch.setenv("RUNSTREAM_SYSTEM_METRICS", "false")
    monkeypatch.setenv("RUNSTREAM_CAPTURE_ENVIRONMENT", "false")
    monkeypatch.setattr(runstream, "run", None)
    yield
    for run in live_runs():
        run.finish(quiet=True)


def test_seeds_in_a_loop_are_runs_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [runstream.init(project="p", config={"seed": seed, "lr": 0.1}) for seed in range(3)]
    assert len({run.id for run in runs}) == 3
    assert [run.finished for run in runs] == [True, True, False]
    assert "is finished first: config.seed is 1 now, and was 0" in capsys.readouterr().err


@pytest.mark.parametrize("other", [{"name": "b"}, {"id": "b"}, {"group": "b"}, {"tags": ["b"]}, {"project": "b"}])
def test_a_call_that_describes_another_run_begins_it(other: dict[str, Any]) -> None:
    first = runstream.init(project="p", name="a", tags=["a"])
    second = runstream.init(**{"project": "p", **other})
    assert second is not first and first.finished and runstream.run is second


@pytest.mark.parametrize("same", [{}, {"project": "p"}, {"project": "p", "name": "a", "config": {"lr": 0.1}}])
def test_a_call_that_fits_the_open_run_gets_it_and_is_told(
    same: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    first = runstream.init(project="p", name="a", config={"lr": 0.1})
    assert runstream.init(**same) is first
    assert "is open: it goes on, and this call begins no other" in capsys.readouterr().err


def test_keys_that_the_open_run_lacks_are_added_to_it() -> None:
    first = runstream.init(project="p", config={"lr": 0.1})
    assert runstream.init(config={"lr": 0.1, "heads": 8}) is first
    assert first.config["heads"] == 8


def test_a_notebook_finishes_the_former_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "get_ipython", lambda: SimpleNamespace(kernel=object()), raising=False)
    first = runstream.init(project="p")
    assert runstream.init(project="p") is not first and first.finished


def test_reinit_is_obeyed() -> None:
    first = runstream.init(project="p")
    assert runstream.init(name="b", reinit="return_previous") is first
    second = runstream.init(project="p", reinit="create_new")
    assert second is not first and not first.finished
    third = runstream.init(project="p", reinit="finish_previous")
    assert third is not second and second.finished
    with pytest.raises(UsageError, match="reinit is 'sometimes'"):
        runstream.init(reinit="sometimes")
    first.finish()
