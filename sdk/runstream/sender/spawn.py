"""Start the node's sender from a training process; this is all that the training process has of it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

from runstream.spool import files
from runstream.spool.folder import SpoolFolder

_started: list[subprocess.Popen[bytes]] = []
_STARTING_S = 20.0
"""A living sender that was started within this time is about to take the lock: another would only use its processor."""
_LOG_BYTES = 4 << 20
_latest = (0.0, "")
"""The time when the newest of `_started` was started, and its folder."""


def ensure_sender(folder: SpoolFolder, patience_s: float) -> bool:
    """Start the sender if none holds the lock. Return whether one was started.

    Never waits: of several senders that start at once the one that wins the lock stays, the others end at once.
    Raises OSError when no process can be started.
    """
    global _latest
    reap()
    if files.is_locked(folder.sender_lock):
        return False
    since, root = _latest
    if _started and root == str(folder.root) and time.monotonic() - since < _STARTING_S:
        return False
    _keep_log_small(folder.sender_log)
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(_import_paths() + _safe_paths(environment.get("PYTHONPATH", "")))
    with folder.sender_log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runstream.sender", "--dir", str(folder.root), "--patience", str(patience_s)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            start_new_session=True,  # Ctrl-C in the trainer's terminal must not reach the sender
            close_fds=True,
        )
    _started.append(process)
    _latest = time.monotonic(), str(folder.root)
    return True


def _keep_log_small(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))


def reap() -> None:
    """Collect senders that ended, so that they leave no zombie."""
    _started[:] = [process for process in _started if process.poll() is None]


def forget_children() -> None:
    """Forget the senders, in a forked child and at exit: they outlive this process on purpose, which is no leak."""
    for process in _started:
        process.returncode = 0
    _started.clear()


def _import_paths() -> list[str]:
    """Return the folders of `runstream` and `runstream_proto`, for an interpreter with another sys.path."""
    paths: list[str] = []
    for name in ("runstream", "runstream_proto"):
        spec = importlib.util.find_spec(name)
        for location in (spec.submodule_search_locations or []) if spec else []:
            parent = str(Path(location).parent)
            if parent not in paths:
                paths.append(parent)
    return paths


def _safe_paths(text: str) -> list[str]:
    """Return the entries of PYTHONPATH that the sender may import from.

    The trainer's current folder is none of them, since a `queue.py` or `grpc/` there is the user's own. A relative
    entry is none, since it would mean another folder in the sender.
    """
    try:
        here = os.getcwd()  # noqa: PTH109  # no pathlib on the way of every start
    except OSError:
        here = ""
    return [part for part in text.split(os.pathsep) if os.path.isabs(part) and part.rstrip("/") != here]  # noqa: PTH117
