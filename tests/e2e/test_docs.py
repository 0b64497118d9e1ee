"""The examples in the docs run, as they stand there, against a server that holds what they ask for."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import ServiceStack, clean_environment

ROOT = Path(__file__).resolve().parents[2]
LOGGER = Path(__file__).parent / "log_digits.py"
PAGES = {"query.md": "# Query API", "sql.md": "# SQL", "sdk.md": "## Query"}
"""And the heading after which the examples run as they stand."""
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RUNS = [["0.05"], ["0.1"], ["0.5"], *(["0.2", str(rank), "4"] for rank in range(4))]


def examples() -> list[tuple[str, str, str]]:
    """(where, language, text) of every block that is Python or shell."""
    found = []
    for page, heading in PAGES.items():
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text, text.index(heading)):
            language = match[1] or ("sh" if match[2].startswith(("curl", "runstream ")) else "")
            if language in ("python", "sh", "bash"):
                line = text.count("\n", 0, match.start()) + 1
                found.append((f"{page}:{line}", language, match[2]))
    return found


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of somebody who asks; the project `digits` is logged and stored."""
    stack = ServiceStack(tmp_path_factory.mktemp("docs")).start()
    environment = {**clean_environment(), **stack.sdk_environment(stack.folder / "spool"), "RUNSTREAM_CONSOLE": "auto"}
    try:
        training = [
            subprocess.Popen([sys.executable, str(LOGGER), *arguments], env=environment, stdout=subprocess.DEVNULL)
            for arguments in _RUNS
        ]
        assert [process.wait(90) for process in training] == [0] * len(_RUNS)
        path = f"{Path(sys.executable).parent}:{environment['PATH']}"
        yield {**environment, "PATH": path, "RUNSTREAM_DIR": str(stack.folder / "reader")}
    finally:
        stack.stop()


def test_there_are_examples_to_run() -> None:
    assert len(examples()) >= 10


@pytest.mark.parametrize(("where", "language", "text"), examples(), ids=[where for where, _, _ in examples()])
def test_an_example_runs_as_it_stands(
    digits: dict[str, str], tmp_path: Path, where: str, language: str, text: str
) -> None:
    command = [sys.executable, "-c", text] if language == "python" else ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, env=digits, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{where}\n{text}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    assert '{"error"' not in done.stdout, f"{where}\n{text}\n{done.stdout[-1500:]}"
    assert done.stdout.strip(), f"{where} shows nothing"
