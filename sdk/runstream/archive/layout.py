"""The files of an exported project, and the manifest that says that it is complete."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runstream.errors import RunstreamError

FORMAT = 1
MANIFEST = "manifest.json"
UNFINISHED = "unfinished.json"
"""The manifest of the files that are complete, while the others are being written."""
RUNS = "runs.jsonl"
CONTENTS_LIST = "contents.csv"
TABLES = {
    "fields": 1,
    "streams": 2,
    "series": 3,
    "texts": 4,
    "histograms": 5,
    "tables": 6,
    "media": 7,
    "files": 8,
    "console": 9,
    "alerts": 10,
}
"""The tables with their numbers in ExportTable; each is one file of all runs, sorted by run."""
CONTENTS = 11
COUNTED = ("points", "fields", "texts", "histograms", "tables", "media", "files", "console", "alerts")
SUFFIXES = {"parquet": ".parquet", "arrow": ".arrows", "csv": ".csv"}


class ArchiveError(RunstreamError):
    """The folder cannot be used; the message says why and what to do."""


@dataclass(slots=True)
class Manifest:
    """What an export was asked for, and every file of it that is complete."""

    project: str
    """team/project"""
    question: dict[str, Any]
    """The choice of the runs, and the format: an export goes on only with the same choice."""
    written_by: str = ""
    format: int = FORMAT
    exported_at: str = ""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Maps a run to its file of points, its state, the number of its rows of each kind, and a stamp of all that."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Maps a path to sha256, bytes, and the stamp of the rows that the file was made from."""
    missing_contents: list[str] = field(default_factory=list)
    """SHA-256 of contents that rows refer to and the server does not have."""

    def write(self, path: Path) -> None:
        hidden = path.with_name(f".{path.name}.part")
        with hidden.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises ArchiveError."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(**raw)
    except FileNotFoundError:
        raise ArchiveError(
            f"{path.parent} holds no finished export: run `runstream export` into it (again, where it was interrupted)"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise ArchiveError(f"{path} has the format {manifest.format}, this version knows {FORMAT}: upgrade runstream")
    return manifest


def points_names(runs: Iterable[str], suffix: str) -> dict[str, str]:
    """Map each run to the path of its points; the paths differ also on file systems that ignore the case of letters."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for run in sorted(runs):
        name, number = run, 1
        while name.lower() in taken:
            number += 1
            name = f"{run}~{number}"
        taken.add(name.lower())
        names[run] = f"points/{name}{suffix}"
    return names


def content_path(sha256: str) -> str:
    return f"contents/{sha256[:2]}/{sha256}"


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(*values: object) -> str:
    """Return a short hash that is the same for the same values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
