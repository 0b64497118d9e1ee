"""A sender whose disk is full: what it has read and cannot note down is sent when there is room."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

import runstream
from runstream.sender.link import Links
from runstream.sender.stream_uploader import StreamUploader
from runstream.spool.folder import SpoolFolder
from runstream.spool.format import SpoolPosition
from runstream.spool.journal import ENTRY_BYTES, KIND_CRASHED, KIND_RECORDS, Journal, JournalEntry

FULL = "/dev/full"
"""Takes no byte: the kernel says that no space is left."""
pytestmark = pytest.mark.skipif(not Path(FULL).exists(), reason="this system has no /dev/full")


@pytest.fixture
def uploader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamUploader:
    """Of a stream of three rows, whose journal is on a full disk."""
    monkeypatch.setenv("RUNSTREAM_DIR", str(tmp_path))
    monkeypatch.setenv("RUNSTREAM_SILENT", "true")
    settings = runstream.Settings(capture_environment=False, console="off", system_metrics=False)
    run = runstream.init(project="full", id="r", mode="offline", settings=settings)
    for step in range(3):
        run.log({"loss": float(step)}, step=step)
    run.finish()
    spool = SpoolFolder(tmp_path)
    (folder,) = spool.stream_folders()
    (folder / "batches").symlink_to(FULL)
    return StreamUploader(spool, folder, Links())


def give_room(uploader: StreamUploader, path: Path) -> None:
    with path.open("w+b") as file:
        os.dup2(file.fileno(), uploader._cutter.journal._fd)


def test_what_was_read_is_kept_until_it_is_noted(uploader: StreamUploader, tmp_path: Path) -> None:
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            uploader._next_batch()
    give_room(uploader, tmp_path / "journal")
    assert uploader._next_batch() is not None
    entry = uploader._cutter.journal.entries[-1]
    assert (entry.kind, entry.first_record, entry.points_total) == (KIND_RECORDS, 1, 3)
    assert uploader._next_batch() is None and entry.finished
    uploader.close()


def test_a_stream_does_not_end_before_its_last_word_is_noted(uploader: StreamUploader, tmp_path: Path) -> None:
    uploader._cutter._reader._segment += 1  # nothing is there any more, as after a process that died without a word
    with pytest.raises(OSError, match="No space left"):
        uploader._next_batch()
    assert not uploader._done()
    give_room(uploader, tmp_path / "journal")
    assert uploader._next_batch() is not None
    assert uploader._cutter.journal.entries[-1].kind == KIND_CRASHED
    uploader.close()


def test_half_an_entry_is_written_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "batches")
    whole = [
        JournalEntry(number, KIND_RECORDS, number, number, SpoolPosition(0, 64), number, 1) for number in (1, 2, 3)
    ]
    journal.append(whole[0])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ENTRY_BYTES + 30, before[1]))  # the kernel writes what has room
    try:
        with pytest.raises(OSError, match="No space left"):
            journal.append(whole[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert journal.entries == whole[:1]
    for entry in whole[1:]:
        journal.append(entry)
    journal.close()
    again = Journal(tmp_path / "batches")
    assert again.entries == whole
    again.close()
