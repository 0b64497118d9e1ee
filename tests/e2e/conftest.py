"""What most tests of the whole road need: the services, and a spool that sends to them. A file that needs other ones
has a fixture of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import ServiceStack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceStack]:
    stack = ServiceStack(tmp_path_factory.mktemp("stack")).start()
    yield stack
    stack.stop()


@pytest.fixture
def spool(stack: ServiceStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The spool's folder; this process's variables name it and the services."""
    for name, value in stack.sdk_environment(tmp_path / "spool").items():
        monkeypatch.setenv(name, value)
    return tmp_path / "spool"
