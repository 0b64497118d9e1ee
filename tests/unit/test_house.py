"""The house's order: one name for one thing, and no folder that nobody can survey."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "sdk/runstream",
    "common/runstream_common",
    "control/runstream_control",
    "ingestor/runstream_ingestor",
    "query/runstream_query",
    "deploy/runstream_deploy",
)
MOST_FILES = 25
MIRRORED = {
    "AuthenticationError",
    "NotFoundError",
    "PermissionDeniedError",
    "RunDeletedError",
    "InvalidRequestError",
    "TooExpensiveError",
}
"""Errors of the server that clients raise under the same name."""
OF_EACH_INTEGRATION = {"RunstreamCallback"}
"""W&B's users expect this name in each integration."""
IN_EACH_PACKAGE = {"__init__", "__main__", "cli", "client", "config", "errors", "instruments", "limits"}
"""Modules that have the same part in each package that has them."""
SAME_THING = {
    "comparing",
    "deletion",
    "doctor",
    "editing",
    "exporting",
    "listing",
    "live",
    "metric_definitions",
    "plots",
    "ranking",
    "runs",
    "saved",
    "sql",
    "text",
}
"""One thing at both ends of the wire, or of the pipeline: what asks for it, answers it, writes it."""


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_no_public_class_name_occurs_twice() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    twice = {name: where for name, where in found.items() if len(where) > 1}
    assert {name: where for name, where in twice.items() if name not in MIRRORED | OF_EACH_INTEGRATION} == {}


def test_files_of_one_name_mean_one_thing() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        found[path.stem].append(str(path.relative_to(ROOT)))
    twice = {name: where for name, where in found.items() if len(where) > 1}
    assert {name: where for name, where in twice.items() if name not in IN_EACH_PACKAGE | SAME_THING} == {}
    assert {name for name in SAME_THING if name not in twice} == set(), "these names occur once: take them off the list"


def test_no_folder_has_more_files_than_one_can_survey() -> None:
    """SQL files aside."""
    counts: dict[str, int] = defaultdict(int)
    for folder in (*PACKAGES, "query/page/src"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.parent.name not in ("sql", "migrations") and not _is_made(path):
                counts[str(path.parent.relative_to(ROOT))] += 1
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def _is_made(path: Path) -> bool:
    return "__pycache__" in path.parts or "built" in path.parts
