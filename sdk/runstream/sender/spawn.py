"""Starting the node's sender from a training process: all that process ever knows of it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from runstream.spool import files
from runstream.spool.folder import SpoolFolder

_started: list[subprocess.Popen[bytes]] = []


def ensure_sender(folder: SpoolFolder, patience_s: float) -> bool:
    """Start the sender if none holds the lock. Returns whether one was started.

    Never waits: who wins the lock among several started at once stays, the others end at once.
    Raises OSError when no process can be started.
    """
    reap()
    if files.is_locked(folder.sender_lock):
        return False
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(_import_paths() + _split(environment.get("PYTHONPATH", "")))
    with folder.sender_log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "runstream.sender", "--dir", str(folder.root), "--patience", str(patience_s)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            start_new_session=True,  # Ctrl-C in the trainer's terminal is not for the sender
            close_fds=True,
        )
    _started.append(process)
    return True


def reap() -> None:
    """Collect senders that ended, so that they leave no zombie."""
    _started[:] = [process for process in _started if process.poll() is None]


def forget_children() -> None:
    """In a forked child and at exit: the sender outlives this process on purpose, which is no leak."""
    for process in _started:
        process.returncode = 0
    _started.clear()


def _import_paths() -> list[str]:
    """Where `runstream` and `runstream_proto` were found, for an interpreter with another sys.path."""
    paths: list[str] = []
    for name in ("runstream", "runstream_proto"):
        spec = importlib.util.find_spec(name)
        for location in (spec.submodule_search_locations or []) if spec else []:
            parent = str(Path(location).parent)
            if parent not in paths:
                paths.append(parent)
    return paths


def _split(text: str) -> list[str]:
    return [part for part in text.split(os.pathsep) if part]
