"""What most tests of the whole road need: the services, and a spool that sends to them. A file that needs other ones
has a fixture of the same name."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.stack import ServiceStack

if TYPE_CHECKING:
    from tests.e2e.test_up import Up


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


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A `runstream up` that is not started yet; of a test that failed it is killed."""
    from tests.e2e.test_up import Up

    up = Up(tmp_path)
    yield up
    if up.service.running():
        up.service.kill()


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """As `subprocess.Popen`; what still runs when the test ends is killed, and its pipes are closed."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        processes.append(subprocess.Popen(*arguments, **options))
        return processes[-1]

    yield start
    for process in processes:
        with process:
            process.kill()
