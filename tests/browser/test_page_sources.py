"""What needs no browser: types and pure logic of the page, its contract, its size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.conftest import ROOT

sys.path.insert(0, str(ROOT / "query" / "page"))
import build  # type: ignore[import-not-found]  # a program beside the sources, not a package


@pytest.fixture(scope="module")
def built() -> Path:
    if not build.is_current():
        build.build()
    return Path(build.BUILT)


@pytest.mark.parametrize("script", ["check", "test"])
def test_types_and_logic(built: Path, script: str) -> None:
    assert build.run(script) == 0


def test_the_contract_is_that_of_the_proto_files() -> None:
    done = subprocess.run([sys.executable, "query/page/contract.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run `make proto`"


def test_the_first_view_is_small(built: Path) -> None:
    """All of it, all views together."""
    size = sum(path.stat().st_size for path in built.rglob("*.br"))
    assert size < 250 << 10


def test_no_registry_is_named() -> None:
    text = (ROOT / "query" / "page" / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text
