"""The files that a run keeps: those that `save()` and `log_code()` name, kept again at the end where they changed."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runstream.base.notices import Notices
from runstream.data.loggable import Content
from runstream.errors import SpoolError, UsageError
from runstream.runs.file_selection import find_code, find_files

AppendFile = Callable[[dict[str, Any], Content], None]
"""Append a file's record and its content; does nothing where no stream is open. Raises SpoolError, UsageError."""


class KeptFiles:
    """The files of one process's part in a run. A file that cannot be kept is reported once."""

    def __init__(self, append: AppendFile, notices: Notices) -> None:
        self._append = append
        self._notices = notices
        self._again: dict[str, tuple[str, Path]] = {}
        """Maps a path in the run to the SHA-256 that was kept (empty: none yet) and to the file; these files are kept
        again at the end."""

    def save(
        self, pattern: str | os.PathLike[str] | None, base: str | os.PathLike[str] | None, policy: str
    ) -> list[str]:
        """Keep the files that match, and return their paths; see `Run.save`."""
        try:
            if policy not in ("now", "live", "end"):
                raise UsageError(f"save: policy is {policy!r}: now, live or end")
            found = find_files(pattern, base)
        except UsageError as error:
            self._notices.complain("save", str(error))
            return []
        for path, name in found:
            digest = "" if policy == "end" else self._keep(path, name, "file")
            if policy != "now":
                self._again[name] = (digest, path)
        return [str(path) for path, _ in found]

    def save_code(
        self, root: str | None, include: Callable[..., object] | None, exclude: Callable[..., object] | None
    ) -> list[str]:
        """Keep source code, and return the paths; see `Run.log_code`."""
        found = find_code(Path(root or "."), include, exclude)
        for path, name in found:
            self._keep(path, name, "code")
        return [str(path) for path, _ in found]

    def save_again(self) -> None:
        """Keep the files again that changed since, among those that were named for it."""
        for name, (digest, path) in self._again.items():
            self._keep(path, name, "file", digest)

    def forget(self) -> None:
        """Forget the files, in a forked child: the parent keeps them itself."""
        self._again = {}

    def _keep(self, path: Path, name: str, category: str, known: str = "") -> str:
        """Keep a file, unless its SHA-256 is `known`. Returns the SHA-256; empty when it could not be kept."""
        try:
            content = Content.of_file(path, mimetypes.guess_type(path.name)[0] or "application/octet-stream")
            if content.sha256 != known:
                value = {
                    "path": name,
                    "category": category,
                    "media_type": content.media_type,
                    "sha256": content.sha256,
                    "size_bytes": content.size_bytes,
                }
                self._append(value, content)
        except (SpoolError, UsageError) as error:
            self._notices.complain(f"save {name}", f"save: left out {name!r}: {error}")
            return ""
        return content.sha256
