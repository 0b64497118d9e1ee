"""A stream that could not be begun leaves nothing in the spool."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

import runstream
from runstream.errors import SpoolError
from runstream.spool import files
from runstream.spool.folder import SpoolFolder, remove_beginnings


def test_a_start_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # no segment fits, as on a full disk
    try:
        with pytest.raises(SpoolError):
            runstream.init(mode="offline", dir=tmp_path, settings={"strict": True, "console": "off"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "streams").iterdir()) == []


def test_what_killed_processes_began_is_removed_and_what_is_being_begun_is_not(tmp_path: Path) -> None:
    spool = SpoolFolder(tmp_path)
    spool.prepare()
    for name, age_s in (("dead", 3600), ("slow", 3600), ("new", 0)):
        (spool.streams / f".new-{name}").mkdir()
        os.utime(spool.streams / f".new-{name}", (0, (spool.streams).stat().st_mtime - age_s))
    held = files.FileLock(spool.streams / ".new-slow" / "lock")
    assert held.acquire()
    os.utime(spool.streams / ".new-slow", (0, 0))
    remove_beginnings(spool)
    assert sorted(path.name for path in spool.streams.iterdir()) == [".new-new", ".new-slow"]
    held.release()
