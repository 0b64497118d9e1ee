"""The choice of the files that `save()` and `log_code()` keep, and their paths in the run."""

from __future__ import annotations

import glob
import inspect
import os
from collections.abc import Callable
from pathlib import Path

from runstream.base.text import valid_path
from runstream.errors import UsageError

MAX_FILES = 5000
_SKIPPED = frozenset(
    {".git", "__pycache__", "node_modules", ".venv", "venv", "wandb", "runstream-data", ".tox", "site-packages"}
)
_MAX_CODE_BYTES = 2 << 20


def find_files(pattern: str | os.PathLike[str] | None, base: str | os.PathLike[str] | None) -> list[tuple[Path, str]]:
    """Return (file, path in the run) of the files that match.

    Raises UsageError when there is no pattern, or no match.
    """
    if pattern is None:
        raise UsageError("save: give a file's path or a glob pattern")
    text = os.fspath(pattern)
    text = os.fsdecode(text)
    if text.startswith(("s3://", "gs://", "http://", "https://")):
        raise UsageError(f"save: {text!r} is no local file")
    fixed = Path(text)
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    root = Path(base) if base is not None else (fixed if fixed.is_dir() else fixed.parent)
    matches = sorted(Path(match) for match in glob.glob(text, recursive=True))  # noqa: PTH207  # a pattern may be absolute
    found = [(path, _inside(path, root)) for path in matches if path.is_file()]
    if not found:
        raise UsageError(f"save: no file matches {text!r}")
    if len(found) > MAX_FILES:
        raise UsageError(f"save: {len(found)} files match {text!r}: at most {MAX_FILES}")
    return found


def find_code(
    root: Path, include: Callable[..., object] | None, exclude: Callable[..., object] | None
) -> list[tuple[Path, str]]:
    """Return (file, path in the run) of source files below `root`, without version control and environments."""
    found: list[tuple[Path, str]] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            wanted = _accepts(include, path, root) if include else path.suffix == ".py"
            if not wanted or (exclude and _accepts(exclude, path, root)):
                continue
            if path.is_file() and path.stat().st_size <= _MAX_CODE_BYTES:
                found.append((path, _inside(path, root)))
            if len(found) >= MAX_FILES:
                return found
    return found


def _accepts(function: Callable[..., object], path: Path, root: Path) -> bool:
    """Call one of W&B's callables, which take (path) or (path, root)."""
    both = len(inspect.signature(function).parameters) > 1
    return bool(function(str(path), str(root)) if both else function(str(path)))


def _inside(path: Path, root: Path) -> str:
    """Return the path below `root`, with slashes, as a valid name of a run's file.

    A file elsewhere gets its bare name.
    """
    try:
        return valid_path(path.absolute().relative_to(root.absolute()).as_posix())
    except ValueError:
        return valid_path(path.name)
