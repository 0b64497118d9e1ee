"""A full spool: what each policy keeps, and that what it gives up is known to the last point."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from runstream.errors import SpoolError
from runstream.spool import files, format
from runstream.spool.appending import AppendingWriter
from runstream.spool.format import SpoolPosition
from runstream.spool.quota import Quota, SpoolFullError
from runstream.spool.reader import SpoolReader
from runstream.spool.writer import SpoolWriter
from tests.unit.test_spool import Collected, read_all

KEYS = tuple(f"metric {number}" for number in range(500))
ROW = [1.5] * 500
LIMIT = 32 << 20


def fill(writer: SpoolWriter, rows: int) -> int:
    """Returns how many were taken."""
    taken = 0
    for step in range(rows):
        try:
            writer.append_row(KEYS, ROW, step, step)
            taken += 1
        except SpoolFullError:
            pass
    return taken


def used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.seg"))


def test_drop_new_keeps_what_was_there_and_the_last_word_still_fits(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, quota=Quota(LIMIT, "drop_new"))
    taken = fill(writer, 12_000)
    assert 0 < taken < 12_000 and used(tmp_path) <= LIMIT
    with pytest.raises(SpoolFullError):
        writer.append_row(KEYS, ROW, 0, 0)
    writer.end(lambda *_: '{"kind":"finish"}')
    sink, reader = read_all(tmp_path)
    assert [number for _, number, _, _ in sink.rows] == list(range(1, taken + 1))
    assert sink.texts == [(taken + 1, b'{"kind":"finish"}')]
    assert reader.at_end() and writer.points == taken * 500


def test_drop_oldest_keeps_the_newest_and_the_gap_tells_its_points(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, quota=Quota(LIMIT, "drop_oldest"))
    assert fill(writer, 20_000) == 20_000
    assert used(tmp_path) <= LIMIT
    writer.seal()
    sink, reader = Collected(), SpoolReader(tmp_path, SpoolPosition(0, format.HEADER_BYTES))
    assert reader.drain(sink)
    numbers = [number for _, number, _, _ in sink.rows]
    assert numbers == list(range(numbers[0], 20_001)) and numbers[0] > 1
    assert reader.points_before(numbers[0] - 1) == (numbers[0] - 1) * 500
    assert reader.at_end()


def test_block_waits_until_the_sender_has_made_room(tmp_path: Path) -> None:
    said: list[float] = []
    writer = SpoolWriter(tmp_path, quota=Quota(LIMIT, "block", lambda: said.append(time.monotonic())))
    taken = 0

    def log() -> None:
        nonlocal taken
        for step in range(9000):
            writer.append_row(KEYS, ROW, step, step)
            taken += 1

    thread = threading.Thread(target=log)
    thread.start()
    deadline = time.monotonic() + 20
    while not said and time.monotonic() < deadline:
        time.sleep(0.01)
    stuck_at = taken
    time.sleep(0.1)
    assert said and taken == stuck_at < 9000
    for path in sorted(tmp_path.glob("*.seg"))[:2]:
        path.unlink()
    thread.join(20)
    assert taken == 9000 and not thread.is_alive()


def test_a_reader_in_a_dropped_segment_reads_it_to_its_end(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, quota=Quota(LIMIT, "drop_oldest"))
    fill(writer, 100)
    sink, reader = Collected(), SpoolReader(tmp_path, SpoolPosition(0, format.HEADER_BYTES))
    reader.drain(sink)
    fill(writer, 20_000)
    writer.seal()
    reader.drain(sink)
    numbers = [number for _, number, _, _ in sink.rows]
    gaps = [(a, b) for a, b in zip(numbers, numbers[1:], strict=False) if b != a + 1]
    assert len(gaps) == 1, "what was mapped is read, then one gap"
    ((before, after),) = gaps
    assert reader.points_before(after - 1) == (after - 1) * 500 and before >= 200


def test_plain_writes_make_the_same_bytes(tmp_path: Path) -> None:
    folders = {SpoolWriter: tmp_path / "mapped", AppendingWriter: tmp_path / "appended"}
    for kind, folder in folders.items():
        folder.mkdir()
        writer = kind(folder)
        for step in range(20_000):
            writer.append_row(("a", "b") if step % 3 else ("c",), [step, 2.0] if step % 3 else [0.5], step, step)
            if step % 1000 == 0:
                writer.append_json(f'{{"step":{step}}}', step)
        writer.seal()
        writer.close()
    mapped, appended = (read_all(folder)[0] for folder in folders.values())
    assert mapped.rows == appended.rows and mapped.texts == appended.texts


def test_where_nothing_can_be_mapped_the_reader_follows_a_growing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> None:
        path.stat()
        raise OSError(19, "No such device")

    monkeypatch.setattr(files, "map_existing", refuse)
    writer = AppendingWriter(tmp_path)
    sink, reader = Collected(), SpoolReader(tmp_path, SpoolPosition(0, format.HEADER_BYTES))
    for part in range(4):
        for step in range(9000):
            writer.append_row(("a", "b", "c"), [1.0, 2.0, 3.0], part * 9000 + step, 0)
        reader.drain(sink)
        assert len(sink.rows) == 9000 * (part + 1)
    writer.seal()
    assert reader.drain(sink) and reader.at_end()


def test_a_full_disk_is_an_error_and_nothing_is_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SpoolWriter(tmp_path)
    allocate = files.allocate

    def full(path: Path, size: int) -> int:
        raise SpoolError("No space left on device")

    monkeypatch.setattr(files, "allocate", full)
    taken = 0
    with pytest.raises(SpoolError):
        while True:
            writer.append_row(KEYS, ROW, taken, 0)
            taken += 1
    monkeypatch.setattr(files, "allocate", allocate)
    writer.append_row(KEYS, ROW, taken, 0)
    writer.seal()
    assert [step for _, _, step, _ in read_all(tmp_path)[0].rows] == list(range(taken + 1))


def test_a_hole_of_a_killed_thread_is_stepped_over_when_the_process_is_dead(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append_row(("a",), [1.0], 0, 0)
    start, records, stretch = writer._segment.last()
    # Another thread has claimed its place, and is killed before it fills it.
    stretch.claim(records + 1, bytes(writer._recent.size))
    writer.append_row(("a",), [3.0], 2, 0)
    sink, reader = Collected(), SpoolReader(tmp_path, SpoolPosition(0, format.HEADER_BYTES))
    assert reader.drain(sink) and len(sink.rows) == 1, "while it lives, the hole may yet be filled"
    assert reader.place.offset == start
    assert reader.drain(sink, dead=True)
    assert [(number, step) for _, number, step, _ in sink.rows] == [(1, 0), (3, 2)]
    assert (reader.damage.unfinished, reader.damage.records) == (1, 0), "log() had not returned: no damage"


def test_media_wait_for_room_where_that_is_wanted_and_are_refused_where_not(tmp_path: Path) -> None:
    (tmp_path / "waits").write_bytes(bytes(900))
    with pytest.raises(SpoolFullError, match="wait to be sent"):
        Quota(1000, "drop_new").make_media_room(tmp_path, 200, lambda: False)
    with pytest.raises(SpoolFullError):  # larger than all that is allowed: no waiting helps
        Quota(1000, "block").make_media_room(tmp_path, 2000, lambda: False)
    thread = threading.Thread(target=Quota(1000, "block").make_media_room, args=(tmp_path, 200, lambda: False))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    (tmp_path / "waits").unlink()
    thread.join(20)
    assert not thread.is_alive()
    (tmp_path / "waits").write_bytes(bytes(900))
    Quota(1000, "block").make_media_room(tmp_path, 200, lambda: True)  # the stream has ended: nobody waits


def test_the_sender_of_a_process_that_died_finds_how_much_it_had_to_give_up(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, segment_bytes=8192)
    writer.note_dropped(7)
    for step in range(100):
        writer.append_row(KEYS[:10], ROW[:10], step, 0)
    assert len(list(tmp_path.glob("*.seg"))) > 1
    assert SpoolReader(tmp_path, SpoolPosition(0, format.HEADER_BYTES)).dropped_points() == 7
    writer.note_dropped(9)
    assert SpoolReader(tmp_path, SpoolPosition(0, format.HEADER_BYTES)).dropped_points() == 9


def test_a_truncated_segment_costs_what_was_in_it_and_no_more(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    for step in range(2000):
        writer.append_row(("a", "b"), [1.0, 2.0], step, 0)
    os.truncate(tmp_path / format.segment_name(0), 32768)
    for step in range(2000, 3000):
        writer.append_row(("a", "b"), [1.0, 2.0], step, 0)
    assert writer.broken
    assert writer.points == 6000, "what had returned was logged: the server is to miss it"
    writer.end(lambda points, records: "{}")
    sink, reader = read_all(tmp_path)
    steps = [step for _, _, step, _ in sink.rows]
    assert steps[-1000:] == list(range(2000, 3000)) and len(steps) == len(set(steps))
    assert reader.damage.segments + reader.damage.records > 0 and reader.at_end()


def test_a_disk_that_fails_under_plain_writes_costs_the_records_that_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = AppendingWriter(tmp_path)
    write, calls = os.pwrite, iter(range(10_000))

    def fail_at_times(fd: int, data: object, offset: int) -> int:
        if next(calls) % 7 == 3:
            raise OSError(28, "No space left on device")
        return write(fd, data, offset)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "pwrite", fail_at_times)
    kept = []
    for step in range(500):
        try:
            writer.append_row(("a",), [1.0], step, 0)
            kept.append(step)
        except SpoolError as error:
            assert "No space left" in str(error)
    monkeypatch.setattr(os, "pwrite", write)
    writer.append_row(("a",), [1.0], 500, 0)
    points = writer.points
    writer.end(lambda points, records: "{}")
    sink, reader = read_all(tmp_path)
    assert [step for _, _, step, _ in sink.rows] == [*kept, 500]
    assert points == len(kept) + 1 and reader.at_end() and not reader.damage.records
