"""What needs no browser: form, layers, types and pure logic of the page, its contract, its size."""

from __future__ import annotations

import shutil
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


@pytest.mark.parametrize("script", ["lint", "check", "test"])
def test_form_types_and_logic(built: Path, script: str) -> None:
    assert build.run(script) == 0


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("lib/probe.ts", 'import type { Run } from "../run/other";\nexport type Probe = Run;\n', "noRestrictedImports"),
        ("lib/probe.ts", 'export const load = () => import("../pages/other");\n', "noRestrictedImports"),
        ("run/probe.ts", 'export { count } from "../sweep/other";\n', "noRestrictedImports"),
        ("run/probe.ts", 'import type { Run } from "./other";\nexport type Probe = Run;\n', "noImportCycles"),
        ("run/probe.ts", 'export { count } from "../lib/other";\n', None),
    ],
    ids=["type upward", "lazy import upward", "import sideways", "circle", "import downward"],
)
def test_the_layers_hold(built: Path, tmp_path: Path, path: str, source: str, rule: str | None) -> None:
    for name in ("biome.jsonc", "layers.jsonc"):
        shutil.copy(build.HERE / name, tmp_path)
    other = 'import type { Probe } from "./probe";\n\nexport type Run = Probe;\n'
    for name, text in {"run/other.ts": other, "lib/other.ts": "export const count = 1;\n", path: source}.items():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_text(text, encoding="utf-8")
    biome = build.HERE / "node_modules" / ".bin" / "biome"
    done = subprocess.run(
        [biome, "lint", "--reporter=github"],
        cwd=tmp_path,
        env=build.find_npm()[1],
        check=False,
        capture_output=True,
        text=True,
    )
    if rule is None:
        assert done.returncode == 0, done.stdout
    else:
        assert done.returncode != 0
        assert rule in done.stdout


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
