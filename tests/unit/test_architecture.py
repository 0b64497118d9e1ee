"""Who may import whom, what an import costs, and what must not drift."""

from __future__ import annotations

import ast
import filecmp
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import runstream
from runstream.settings import setting_fields
from runstream_common.service.metrics import markdown
from tests.support.annotations import count

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "runstream": ("sdk/runstream", {"runstream_proto"}),
    "runstream_proto": ("proto/runstream_proto", set()),
    "runstream_common": ("common/runstream_common", {"runstream_proto"}),
    "runstream_control": ("control/runstream_control", {"runstream_common", "runstream_proto"}),
    "runstream_ingestor": (
        "ingestor/runstream_ingestor",
        {"runstream_common", "runstream_control", "runstream_proto"},
    ),
    "runstream_query": ("query/runstream_query", {"runstream_common", "runstream_control", "runstream_proto"}),
    "runstream_deploy": (
        "deploy/runstream_deploy",
        {"runstream_common", "runstream_control", "runstream_ingestor", "runstream_query", "runstream_proto"},
    ),
}
LOOSE_ANNOTATIONS = 0.05
"""The largest share of a package's annotations that may contain `Any`."""
SENDER_ONLY = {"grpc", "google"}
"""What the SDK may import inside functions, in the sender, and in `Api`; never in a training process that logs."""
STANDARD_LIBRARY_ONLY = (
    "sdk/runstream/runs/run.py",
    "sdk/runstream/runs/summary.py",
    "sdk/runstream/server/key_file.py",
    "sdk/runstream/runs/initial_document.py",
    "sdk/runstream/ranks/job.py",
    "sdk/runstream/runs/start.py",
    "sdk/runstream/runs/stream.py",
    "sdk/runstream/runs/values.py",
    "sdk/runstream/settings.py",
    "sdk/runstream/sender/spawn.py",
)


def imports_of(path: Path) -> set[str]:
    """Top-level names of every import statement in a file, wherever it stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_whom_they_may(package: str) -> None:
    folder, allowed = PACKAGES[package]
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        for name in imports_of(path):
            if name.startswith("runstream") and name != package:
                assert name in allowed, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("package", sorted(PACKAGES.keys() - {"runstream_proto"}))
def test_annotations_say_what_they_mean(package: str) -> None:
    vague, total = count(ROOT / PACKAGES[package][0])
    print(f"{package}: {vague} of {total} annotations contain Any ({vague / total:.1%})")
    assert vague / total < LOOSE_ANNOTATIONS, "say what is needed: a class, a Protocol, a TypedDict, object"


def test_what_a_training_process_runs_imports_the_standard_library_only() -> None:
    files = [ROOT / path for path in STANDARD_LIBRARY_ONLY]
    files += [path for room in ("base", "spool") for path in (ROOT / "sdk/runstream" / room).glob("*.py")]
    for path in files:
        foreign = imports_of(path) - sys.stdlib_module_names - {"runstream", "__future__"}
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_what_the_package_exports_exists_and_no_module_says_by_its_name_that_it_is_private() -> None:
    of_a_run = ("config", "summary")
    assert [name for name in runstream.__all__ if name not in of_a_run and not hasattr(runstream, name)] == []
    modules = (ROOT / "sdk/runstream").rglob("*.py")
    assert [path.name for path in modules if path.stem.startswith("_") and not path.stem.startswith("__")] == []


def test_importing_and_logging_loads_neither_grpc_nor_numpy_nor_a_server(tmp_path: Path) -> None:
    script = (
        "import sys, json, runstream\n"
        "before = set(sys.modules)\n"
        "run = runstream.init(project='p', mode='offline')\n"
        "run.log({'x': 1.0, 'text': 'hi'})\n"
        "run.finish()\n"
        "print(json.dumps([sorted(before), sorted(sys.modules)]))"
    )
    environment = {**os.environ, "RUNSTREAM_DIR": str(tmp_path), "RUNSTREAM_SILENT": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    imported, used = (set(names) for names in json.loads(done.stdout))
    heavy = {
        "grpc",
        "google.protobuf",
        "numpy",
        "pandas",
        "runstream_proto",
        "runstream_common",
        "runstream_control",
        "chdb",
        "asyncio",
    }
    assert not heavy & used
    assert not {"json", "mmap", "subprocess"} & (imported - _bare_modules()), (
        "import runstream itself loads almost nothing"
    )


def _bare_modules() -> set[str]:
    script = "import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_generated_contract_is_that_of_the_proto_files(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, str(ROOT / "proto/generate.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, env=environment)
    fresh = tmp_path / "runstream_proto" / "v1"
    committed = ROOT / "proto/runstream_proto/v1"
    names = sorted(path.name for path in fresh.iterdir())
    assert names == sorted(path.name for path in committed.iterdir() if path.name != "__pycache__")
    _, different, _ = filecmp.cmpfiles(fresh, committed, names, shallow=False)
    assert not different, f"run `make proto`: {different}"


def test_generated_code_runs_with_the_oldest_protobuf_allowed() -> None:
    text = (ROOT / "proto/runstream_proto/v1/ingest_pb2.py").read_text(encoding="utf-8")
    call = text.split("ValidateProtobufRuntimeVersion(")[1].split(")")[0]
    generated = tuple(int(part) for part in call.split(",")[1:4])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = next(text for text in project["dependencies"] if text.startswith("protobuf"))
    assert generated <= tuple(int(part) for part in oldest.split(">=")[1].split(",")[0].split("."))


def test_protobuf_runs_on_its_c_implementation() -> None:
    from google.protobuf.internal import api_implementation

    assert api_implementation.Type() == "upb"


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == runstream.__version__ == importlib.metadata.version("runstream")


def test_the_metrics_page_is_the_catalogue() -> None:
    assert (ROOT / "docs/metrics.md").read_text(encoding="utf-8") == markdown(), (
        "run `python -m runstream_common.service.metrics > docs/metrics.md`"
    )


def test_every_setting_of_the_sdk_is_documented() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    missing = [field.name for field in setting_fields() if f"`{field.name}`" not in page]
    assert not missing, f"docs/settings.md does not say what these are: {missing}"


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), ROOT / "examples/README.md"]), ids=lambda page: page.name)
def test_links_of_the_front_door_lead_somewhere(page: Path) -> None:
    """Those of `docs/` are checked when the site is built (`make docs`)."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
