"""Runs of integrations are offline: what the framework made of them is read back from the real spool."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import runstream
from tests.unit.test_spool import Collected, read_all

ROOT = Path(__file__).parents[2]


class Logged:
    """What one run has in the spool."""

    def __init__(self, run: Any) -> None:
        self._found: Collected = read_all(Path(run.spool_dir))[0]

    def series(self, metric: str) -> list[tuple[int, float]]:
        return [(step, values[keys.index(metric)]) for keys, _, step, values in self._found.rows if metric in keys]

    def metrics(self) -> set[str]:
        return {key for keys, _, _, _ in self._found.rows for key in keys}

    def records(self, kind: str) -> list[dict[str, Any]]:
        payloads = [json.loads(data) for _, data in self._found.texts]
        return [payload["value"] for payload in payloads if payload["kind"] == kind]

    def config(self) -> dict[str, Any]:
        found = {
            record["key"]: json.loads(record["value_json"])
            for record in self.records("field")
            if record["section"] == "SECTION_CONFIG"
        }
        return {**json.loads(self.records("start")[0]["config_json"]), **found}

    def outcome(self) -> str:
        return str(self.records("finish")[0]["outcome"])


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RUNSTREAM_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("RUNSTREAM_MODE", "offline")
    monkeypatch.setenv("RUNSTREAM_SILENT", "true")
    monkeypatch.setattr(runstream, "run", None)
    yield
    runstream.finish(timeout=0)


@pytest.fixture
def logged() -> Callable[[Any], Logged]:
    """What a run that has ended logged."""
    return Logged


def needed(module: str) -> None:
    """Skip, and say so, where the library is not installed; where every real part is required, fail."""
    if importlib.util.find_spec(module) is None:
        if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
            pytest.fail(f"{module} is not installed")
        pytest.skip(f"{module} is not installed")


def torch_interpreter() -> str:
    """A Python that has torch: this one, or the system's (Debian's python3-torch)."""
    for interpreter in (sys.executable, "/usr/bin/python3"):
        if Path(interpreter).exists():
            done = subprocess.run([interpreter, "-c", "import torch"], capture_output=True, check=False)
            if done.returncode == 0:
                return interpreter
    if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
        pytest.fail("no Python here has torch: apt-get install python3-torch")
    pytest.skip("no Python here has torch")
