"""The spool's folder: the place of the streams, and each stream's description of itself."""

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
"""How old an unfinished stream must be to be deleted: a new one has its lock within milliseconds, and its name soon."""


@dataclass(frozen=True, slots=True)
class StreamMeta:
    """The run of a stream and the server it goes to. It holds no secret: the key is named by its prefix."""

    writer_id: str
    base_url: str
    gateway: str
    """host:port"""
    gateway_tls: bool
    key_prefix: str
    """The prefix of the API key to send with; if it is empty, any key that is known for `base_url`."""
    team: str
    project: str
    run: str
    rank: int
    world_size: int
    resume: str
    """allow | never | must"""
    offline: bool
    """True when only `runstream sync` sends the stream."""
    helper: bool
    """True for a forked child of the process that has the run (such as a data loader's worker): its end does not end
    the run."""
    system: bool
    """True for a stream that the sender made: it has system metrics and console lines, not values of training code."""
    system_interval_s: float
    """How often the sender samples system metrics of this process and its node; 0: never."""
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
        """Yield the folders of complete streams (the name of an incomplete one starts with a dot)."""
        try:
            entries = sorted(os.scandir(self.streams), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def write_meta(folder: Path, meta: StreamMeta) -> None:
    """Write a stream's description; one that is there is replaced in one step. Raises OSError."""
    new = folder / "meta.json.new"
    new.write_text(json.dumps(asdict(meta), indent=1), encoding="utf-8")
    new.replace(folder / "meta.json")


def read_meta(folder: Path) -> StreamMeta:
    """Read a stream's description. Raises SpoolError when the file is missing, broken or from a newer SDK."""
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
    """Return True while the process that writes the stream lives."""
    return files.is_locked(folder / "lock")


@contextlib.contextmanager
def beginning(hidden: Path) -> Iterator[None]:
    """Delete the hidden folder when the block, which makes a stream there, fails."""
    try:
        yield
    except BaseException:
        import shutil

        shutil.rmtree(hidden, ignore_errors=True)
        raise


def remove_beginnings(spool: SpoolFolder) -> None:
    """Delete the folders of processes that died while they made a stream: nothing was ever logged there."""
    import shutil

    for hidden in spool.streams.glob(".new-*"):
        with contextlib.suppress(OSError):
            old = time.time() - hidden.stat().st_mtime > _BEGINNING_S
            if old and not files.is_locked(hidden / "lock"):
                shutil.rmtree(hidden, ignore_errors=True)


def remove_stream(folder: Path) -> None:
    """Delete a stream that is acked to its end. It is hidden first, so that no process opens half of it."""
    hidden = folder.with_name(f".done-{folder.name}")
    folder.rename(hidden)
    import shutil

    shutil.rmtree(hidden, ignore_errors=True)
