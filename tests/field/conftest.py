"""One live stack (embedded) for the whole folder, and what a case needs to play a user on it.

A case takes `spool` and `project` (its own, so that no case sees another's runs), plays a script with `play`, and asks
with `Api` or `rows`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import ServiceStack

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceStack]:
    """The services, shared by all cases of the folder: a case leaves them as it found them."""
    stack = ServiceStack(tmp_path_factory.mktemp("field")).start()
    yield stack
    stack.stop()


@pytest.fixture
def spool(stack: ServiceStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The spool's folder; this process's variables name it and the services, also for the scripts that it plays."""
    for name, value in stack.sdk_environment(tmp_path / "spool").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path / "spool"


@pytest.fixture
def project(request: pytest.FixtureRequest, spool: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project of the case's own, which `init()` takes by itself."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", request.node.name).strip("-")[:60]
    monkeypatch.setenv("RUNSTREAM_PROJECT", name)
    return name
