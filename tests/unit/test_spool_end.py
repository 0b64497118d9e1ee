"""The end of a stream while a thread is in the middle of `log()`: the last record counts what every reader has seen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runstream.errors import SpoolClosedError
from runstream.spool import format
from runstream.spool import segment as segment_module
from runstream.spool import writer as writer_module
from runstream.spool.appending import AppendingWriter
from runstream.spool.format import SpoolPosition
from runstream.spool.reader import SpoolReader
from runstream.spool.writer import SpoolWriter
from tests.unit.test_spool import Collected, read_all


class Thread:
    """Logs one row, and stands still when it has claimed its place."""

    def __init__(self, writer: SpoolWriter) -> None:
        self._writer = writer
        self.claimed, self.go_on = threading.Event(), threading.Event()
        self.refused = False
        self.thread = threading.Thread(target=self._log)

    def stands_before(self, fill: Callable[..., Any]) -> Callable[..., Any]:
        def wait_and_fill(*arguments: Any) -> Any:
            if threading.current_thread() is self.thread:
                self.claimed.set()
                self.go_on.wait(30)
            return fill(*arguments)

        return wait_and_fill

    def _log(self) -> None:
        try:
            self._writer.append_row(("a",), [2.0], 1, 0)
        except SpoolClosedError:
            self.refused = True


@pytest.mark.parametrize("kind", [SpoolWriter, AppendingWriter])
def test_a_row_that_the_end_gives_up_is_seen_by_nobody(
    tmp_path: Path, kind: type[SpoolWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = kind(tmp_path)
    writer.append_row(("a",), [1.0], 0, 0)
    sender, seen = SpoolReader(tmp_path, SpoolPosition(0, format.HEADER_BYTES)), Collected()
    late = Thread(writer)
    if kind is SpoolWriter:
        keyset = writer._segment.keysets["a",]
        keyset.fill = late.stands_before(keyset.fill)
    else:
        monkeypatch.setattr(segment_module, "_write", late.stands_before(segment_module._write))
    late.thread.start()
    assert late.claimed.wait(30)
    walk, walks = writer_module.walk, 0

    def walk_and_let_the_thread_go_on(*arguments: Any) -> Any:
        nonlocal walks
        found = walk(*arguments)
        walks += 1
        if walks == 2:  # `end()` knows what it gives up, and has not filled it yet
            late.go_on.set()
            late.thread.join(0.5)
            sender.drain(seen)
        return found

    monkeypatch.setattr(writer_module, "walk", walk_and_let_the_thread_go_on)
    writer.end(lambda points, records: f"{points} {records}", patience_s=0.0)
    late.thread.join(30)
    sender.drain(seen)
    assert late.refused
    assert sender.at_end()
    assert [step for _, _, step, _ in seen.rows] == [0]
    assert seen.rows == read_all(tmp_path)[0].rows
    assert [text for _, text in seen.texts] == [b"", b"1 2"]
    sender.close()
    writer.close()


def test_a_view_that_cannot_be_released_does_not_keep_the_stream_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_module, "_RELEASE_S", 0.01)
    writer = SpoolWriter(tmp_path)
    writer.append_row(("a",), [1.0], 0, 0)
    _, records, stretch = writer._segment.last()
    stretch.claim(records + 1, bytes(writer._recent.size))  # of a thread that stands still for ever
    with memoryview(writer._segment.view):
        writer.end(lambda points, records: f"{points} {records}", patience_s=0.0)
    found, reader = read_all(tmp_path)
    assert reader.at_end()
    assert [text for _, text in found.texts] == [b"", b"1 2"]
    writer.close()


def test_files_that_are_not_mapped_are_closed_when_nobody_writes_to_them(tmp_path: Path) -> None:
    def descriptors() -> int:
        return sum(str(tmp_path) in str(path.resolve()) for path in Path("/proc/self/fd").iterdir())

    writer = AppendingWriter(tmp_path, segment_bytes=format.RESERVE_BYTES + 4096)
    for step in range(1000):
        writer.append_row(("a",), [1.0], step, 0)
    assert len(list(tmp_path.glob("*.seg"))) > 10
    assert descriptors() <= 3, "of the segment in use, and of the one before"
    writer.close()
    assert descriptors() == 0
