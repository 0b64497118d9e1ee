"""The spool's folder: where streams live, and what a stream says of itself."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from runstream.errors import SpoolError
from runstream.spool import files

META_VERSION = 1
_BEGINNING_S = 600.0
"""A stream that is being made has its lock within milliseconds, and its name soon after."""


@dataclass(frozen=True, slots=True)
class StreamMeta:
    """Which run a stream belongs to and where it goes. Holds no secret: the key is named by its prefix."""

    writer_id: str
    base_url: str
    gateway: str
    """host:port"""
    gateway_tls: bool
    key_prefix: str
    """Of the API key to send with; empty: whatever key is known for `base_url`."""
    team: str
    project: str
    run: str
    rank: int
    world_size: int
    resume: str
    """allow | never | must"""
    offline: bool
    """Sent by `runstream sync` only."""
    helper: bool
    """A forked child of the process that has the run (a data loader's worker, say): its end says nothing of the run."""
    system: bool
    """Made by the sender: system metrics and console lines of a process or node, not by the training code."""
    system_interval_s: float
    """How often the sender samples what this process and its node do; 0: never."""
    created_us: int
    pid: int
    host: str
    sdk_version: str
    version: int = META_VERSION


class SpoolFolder:
    """The folder of all streams of this user on this node."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.streams = root / "streams"
        self.rejected = root / "rejected"
        self.set_aside = root / "set-aside"
        """Streams that a person took out of the sender's way (`runstream spool`)."""
        self.sender_lock = root / "sender.lock"
        self.sender_log = root / "sender.log"

    def prepare(self) -> None:
        """Make the folders. Raises SpoolError."""
        for path in (self.root, self.streams, self.rejected):
            files.private_folder(path)

    def stream_folders(self) -> Iterator[Path]:
        """Folders of complete streams (one being made has a name that starts with a dot)."""
        try:
            entries = sorted(os.scandir(self.streams), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def write_meta(folder: Path, meta: StreamMeta) -> None:
    (folder / "meta.json").write_text(json.dumps(asdict(meta), indent=1), encoding="utf-8")


def read_meta(folder: Path) -> StreamMeta:
    """Raises SpoolError when the file is missing, broken or from a newer SDK."""
    path = folder / "meta.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw = {"system": False, "system_interval_s": 0.0, **raw}
        known = {field.name: raw[field.name] for field in fields(StreamMeta)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpoolError(f"cannot read {path}: {error}") from error
    if known["version"] != META_VERSION:
        raise SpoolError(f"{path} was written by another version of the SDK ({known['version']}): upgrade runstream")
    return StreamMeta(**known)


def is_alive(folder: Path) -> bool:
    """True while the process that writes the stream lives."""
    return files.is_locked(folder / "lock")


@contextlib.contextmanager
def beginning(hidden: Path) -> Iterator[None]:
    """While a stream is made under its hidden name: what fails leaves nothing behind."""
    try:
        yield
    except BaseException:
        import shutil

        shutil.rmtree(hidden, ignore_errors=True)
        raise


def remove_beginnings(spool: SpoolFolder) -> None:
    """Delete what processes left that died while they made a stream: nothing was ever logged there."""
    import shutil

    for hidden in spool.streams.glob(".new-*"):
        with contextlib.suppress(OSError):
            old = time.time() - hidden.stat().st_mtime > _BEGINNING_S
            if old and not files.is_locked(hidden / "lock"):
                shutil.rmtree(hidden, ignore_errors=True)


def remove_stream(folder: Path) -> None:
    """Delete a stream that is acked to its end: first out of sight, so that nobody opens half of it."""
    hidden = folder.with_name(f".done-{folder.name}")
    folder.rename(hidden)
    import shutil

    shutil.rmtree(hidden, ignore_errors=True)
