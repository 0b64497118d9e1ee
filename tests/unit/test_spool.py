"""The spool: what `log()` returned from is there, whatever happened to the process."""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from runstream.errors import SpoolError
from runstream.spool import files, format
from runstream.spool.format import SpoolPosition
from runstream.spool.journal import KIND_RECORDS, Journal, JournalEntry
from runstream.spool.reader import SpoolReader
from runstream.spool.state import StateFile
from runstream.spool.writer import SpoolWriter

START = SpoolPosition(0, format.HEADER_BYTES)


class Collected:
    """A sink that keeps everything."""

    def __init__(self, enough: int | None = None) -> None:
        self.rows: list[tuple[tuple[str, ...], int, int, tuple[float, ...]]] = []
        self.texts: list[tuple[int, bytes]] = []
        self._enough = enough

    def row(self, keyset: tuple[str, ...], number: int, time_us: int, step_and_values: memoryview) -> bool:
        if self._enough is not None and len(self.rows) >= self._enough:
            return False
        (step,) = struct.unpack_from("<q", step_and_values)
        values = struct.unpack_from(f"<{len(keyset)}d", step_and_values, 8)
        self.rows.append((keyset, number, step, values))
        return True

    def json(self, number: int, time_us: int, data: bytes) -> bool:
        self.texts.append((number, data))
        return True


def read_all(folder: Path) -> tuple[Collected, SpoolReader]:
    sink, reader = Collected(), SpoolReader(folder, START)
    assert reader.drain(sink)
    return sink, reader


def test_rows_come_back_as_written_across_segments(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    expected = []
    generator = random.Random(7)
    for number in range(1, 30_001):
        keys = ("loss", "acc") if number % 3 else ("lr", "grad", "loss")
        values = tuple(generator.uniform(-1e9, 1e9) for _ in keys)
        step = generator.randrange(-(2**53), 2**53)
        writer.append_row(keys, values, step, number)
        expected.append((keys, number, step, values))
    writer.seal()
    assert len(list(tmp_path.glob("*.seg"))) > 1
    sink, reader = read_all(tmp_path)
    assert sink.rows == expected
    assert reader.at_end()
    assert reader.damage.records == reader.damage.segments == 0


def test_special_doubles_keep_their_bits(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append_row(("a", "b", "c", "d"), (float("nan"), float("inf"), float("-inf"), -0.0), 0, 0)
    values = read_all(tmp_path)[0].rows[0][3]
    assert values[0] != values[0]
    assert values[1:3] == (float("inf"), float("-inf"))
    assert str(values[3]) == "-0.0"


def test_a_value_that_is_no_number_leaves_no_trace(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append_row(("a",), (1.0,), 0, 0)
    with pytest.raises(struct.error):
        writer.append_row(("a",), ("text",), 1, 0)
    with pytest.raises(struct.error):
        writer.append_row(("a",), (1.0,), 2**70, 0)
    writer.append_row(("a",), (2.0,), 2, 0)
    sink, _ = read_all(tmp_path)
    assert [(number, step) for _, number, step, _ in sink.rows] == [(1, 0), (2, 2)]
    assert writer.points == 2


def test_logging_inside_the_conversion_of_a_value_keeps_both_records(tmp_path: Path) -> None:
    """A signal handler or a finalizer may log in the middle of a log()."""
    writer = SpoolWriter(tmp_path)

    class Reentrant:
        def __float__(self) -> float:
            writer.append_row(("inner",), (2.0,), 7, 0)
            return 1.0

    writer.append_row(("outer",), (Reentrant(),), 3, 0)
    rows = {keys[0]: (step, values) for keys, _, step, values in read_all(tmp_path)[0].rows}
    assert rows == {"outer": (3, (1.0,)), "inner": (7, (2.0,))}


def test_a_nested_log_before_a_failing_value_is_kept(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)

    class Failing:
        def __float__(self) -> float:
            writer.append_row(("inner",), (2.0,), 7, 0)
            raise ValueError("no number after all")

    with pytest.raises(struct.error):
        writer.append_row(("outer",), (Failing(),), 3, 0)
    writer.append_row(("after",), (3.0,), 8, 0)
    sink, reader = read_all(tmp_path)
    assert [keys[0] for keys, *_ in sink.rows] == ["inner", "after"]
    assert reader.damage.records == 0


def test_a_reader_behind_a_writer_sees_whole_records_only(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    sink, reader = Collected(), SpoolReader(tmp_path, START)
    for number in range(1, 2001):
        writer.append_row(("x",), (float(number),), number, 0)
        if number % 17 == 0:
            reader.drain(sink)
            assert len(sink.rows) == number
    assert not reader.at_end()
    writer.seal()
    reader.drain(sink)
    assert reader.at_end()


def test_reading_resumes_at_any_place(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    for number in range(1, 50_001):
        writer.append_row(("x", f"y{number % 5}"), (1.0, 2.0), number, 0)
    writer.seal()
    seen: list[int] = []
    place = START
    while True:
        sink, reader = Collected(enough=777), SpoolReader(tmp_path, place)
        reader.drain(sink)
        place = reader.place
        reader.close()
        if not sink.rows:
            break
        seen += [number for _, number, _, _ in sink.rows]
    assert seen == list(range(1, 50_001))


@pytest.mark.parametrize("seed", range(25))
def test_flipped_bits_cost_their_record_and_are_counted(tmp_path: Path, seed: int) -> None:
    generator = random.Random(seed)
    writer = SpoolWriter(tmp_path)
    for number in range(1, 501):
        writer.append_row(("x", "y"), (float(number), 0.5), number, 0)
    writer.seal()
    path = tmp_path / format.segment_name(0)
    data = bytearray(path.read_bytes())
    end = struct.unpack_from("<Q", data, format.SEALED_OFFSET)[0]
    position = generator.randrange(format.HEADER_BYTES + 64, end)
    data[position] ^= 1 << generator.randrange(8)
    path.write_bytes(data)
    sink, reader = read_all(tmp_path)
    for _, number, step, values in sink.rows:
        assert (number, values) == (step, (float(step), 0.5))
    assert reader.damage.records + reader.damage.segments >= 1 or len(sink.rows) == 500
    assert len(sink.rows) < 500 or reader.damage.records == 0


def test_a_file_that_lost_its_end_is_read_to_its_end_each_time(tmp_path: Path) -> None:
    """The offset behind what a sealed segment lacks lies behind the file: that is no sign that more is to come."""
    writer = SpoolWriter(tmp_path)
    for step in range(100):
        writer.append_row(("a",), [1.0], step, 0)
    writer.end(lambda points, records: "{}")
    os.truncate(tmp_path / format.segment_name(0), 1000)
    reader, sink = SpoolReader(tmp_path, START), Collected()
    assert [reader.drain(sink, dead=True) for _ in range(3)] == [True] * 3
    assert 0 < len(sink.rows) < 100 and reader.damage.at_end and reader.at_end()


def test_sigkill_at_any_moment_loses_nothing_that_was_returned_from(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from runstream.spool.writer import SpoolWriter
writer = SpoolWriter(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    writer.append_row(("x", "y"), (float(number), -float(number)), number, 0)
    if number % 50 == 0:
        sys.stdout.buffer.write(number.to_bytes(8, "little"))
        sys.stdout.buffer.flush()
"""
    generator = random.Random(3)
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        process = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 8)
        returned = process.stdout.read(8 * generator.randrange(1, 2000))
        process.send_signal(signal.SIGKILL)
        returned += process.stdout.read()
        process.wait()
        process.stdout.close()
        last = int.from_bytes(returned[-8:], "little")
        numbers = [number for _, number, _, _ in read_all(folder)[0].rows]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= last > 0


def test_a_full_disk_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SpoolError, match="No space left on device"):
        SpoolWriter(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_lock_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = (
        "import sys, pathlib; from runstream.spool.files import FileLock\n"
        "lock = FileLock(pathlib.Path(sys.argv[1]))\n"
        "assert lock.acquire()\n"
        "print(1, flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdin is not None
    process.stdout.readline()
    assert files.is_locked(path)
    process.kill()
    process.wait()
    process.stdout.close()
    process.stdin.close()
    assert not files.is_locked(path)


def test_the_journal_drops_a_torn_entry(tmp_path: Path) -> None:
    path = tmp_path / "batches"
    entries = [
        JournalEntry(n, KIND_RECORDS, n * 10, n * 10 + 9, SpoolPosition(0, 64 * n), 100 * n, n) for n in range(1, 5)
    ]
    journal = Journal(path)
    for entry in entries:
        journal.append(entry)
    journal.close()
    path.write_bytes(path.read_bytes()[:-5])
    again = Journal(path)
    assert again.entries == entries[:3]
    again.append(entries[3])
    again.close()
    assert Journal(path).entries == entries


def test_the_state_page_carries_progress_and_errors(tmp_path: Path) -> None:
    trainer = StateFile(tmp_path / "state", create=True)
    sender = StateFile(tmp_path / "state")
    sender.set_acked(17, 2)
    sender.count_rejected()
    sender.set_error("kein Zugriff: " + "ä" * 2000)
    progress = trainer.read()
    assert (progress.acked_record, progress.acked_batch, progress.rejected_batches) == (17, 2, 1)
    assert progress.error.startswith("kein Zugriff: ää")
    sender.set_error("")
    assert trainer.read().error == ""


@pytest.mark.parametrize("seed", range(3))
def test_ctrl_c_at_any_moment_leaves_no_hole_and_no_repetition(tmp_path: Path, seed: int) -> None:
    """An exception from a signal handler may come between any two bytecodes: what is appended afterwards is read, every
    number is there once, and the points agree."""

    class Interrupted(BaseException):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    generator = random.Random(seed)
    before = signal.signal(signal.SIGALRM, interrupt)
    writer = SpoolWriter(tmp_path)
    wide = tuple(f"metric {number}" for number in range(2000))
    interrupts = step = 0
    try:
        while interrupts < 80:
            try:
                signal.setitimer(
                    signal.ITIMER_REAL, generator.random() * generator.choice([0.0005, 0.002, 0.03]) + 1e-6
                )
                while True:
                    writer.append_row(wide if step % 5 else ("a",), [1.0] * (2000 if step % 5 else 1), step, 0)
                    step += 1
                    if step % 50 == 0:
                        writer.append_json(f'{{"at":{step}}}')
            except Interrupted:
                interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    writer.end(lambda points, records: f'{{"points":{points},"records":{records}}}')
    sink, reader = read_all(tmp_path)
    assert reader.at_end(), (reader.place, reader._sealed_at(), reader._next_segment(), reader.damage)
    assert reader.damage.records == reader.damage.segments == 0
    numbers = sorted([number for _, number, _, _ in sink.rows] + [number for number, _ in sink.texts])
    assert numbers == list(range(1, writer.number + 1))
    assert writer.points == sum(len(keys) for keys, _, _, _ in sink.rows)
    assert len(list(tmp_path.glob("*.seg"))) > 1
