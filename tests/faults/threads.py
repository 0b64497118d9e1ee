"""Stress the spool's writer as no training does, and compare every row.

    python -m tests.faults.threads [--rows N] [--threads N] [--seed N]      JSON last; the standard library is enough

A process logs from many threads into segments with room for 4 KiB of records, switches threads each microsecond, logs
in handlers of signals, is interrupted by exceptions, and dies by SIGKILL or ends its stream meanwhile. It notes
in shared memory what it is about to log and what has returned. This process reads behind it, as the sender does, and
after a kill as the sender does then: what returned is there once and right, what was never submitted is not there.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from runstream.errors import SpoolClosedError
from runstream.spool import format
from runstream.spool.format import SpoolPosition
from runstream.spool.reader import SpoolReader
from runstream.spool.writer import SpoolWriter

GUARD_S = 60
"""A process that has not ended so long after it was told to does not end."""
SEGMENT_BYTES = format.RESERVE_BYTES + 4096
_NOTE = struct.Struct("@QQ")
"""Rows submitted, rows returned: of one thread. The slot behind the threads' is the signal handler's."""


def keys_of(thread: int, row: int) -> tuple[str, ...]:
    """The key lists alternate, so that they are defined again and again; some are shared by all threads."""
    width = 1 + row // 7 % 5
    name = "shared" if row % 5 == 0 else str(thread)
    return (f"{name}/thread", *(f"{name}/{index}" for index in range(width)))


def values_of(thread: int, row: int, width: int) -> tuple[float, ...]:
    return (
        float(thread),
        *(float((row * 2654435761 + thread * 40503 + index) % (1 << 50)) for index in range(width - 1)),
    )


class Interrupted(Exception):
    """As Ctrl-C, at whatever moment."""


def log_for_ever(folder: Path, notes_path: Path, threads: int, seed: int) -> None:
    """Of the child process: log until SIGTERM, then end the stream while all threads go on."""
    sys.setswitchinterval(1e-6)
    with notes_path.open("r+b") as file:
        notes = mmap.mmap(file.fileno(), 0)
    writer = SpoolWriter(folder, segment_bytes=SEGMENT_BYTES)
    told = False

    def log_one(thread: int, row: int) -> None:
        keys = keys_of(thread, row)
        place = thread * _NOTE.size
        struct.pack_into("@Q", notes, place, row + 1)
        writer.append_row(keys, values_of(thread, row, len(keys)), row, 0)
        struct.pack_into("@Q", notes, place + 8, row + 1)

    def work(thread: int) -> None:
        with contextlib.suppress(SpoolClosedError):
            row = 0
            while True:
                log_one(thread, row)
                row += 1

    handled, in_handler, interruptible = 0, False, False

    def log_in_handler(number: int, frame: FrameType | None) -> None:
        nonlocal handled, in_handler
        if in_handler:
            return
        in_handler = True
        row, handled = handled, handled + 1
        with contextlib.suppress(SpoolClosedError):
            log_one(threads, row)
        in_handler = False

    def tell(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interruptible
        in_tell = frame is not None and frame.f_code is tell.__code__  # else nobody would be told
        if interruptible and not in_handler and not in_tell:
            interruptible = False
            raise Interrupted

    interrupted = os.open(folder.parent / "interrupted", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    signal.signal(signal.SIGALRM, log_in_handler)
    signal.signal(signal.SIGUSR1, interrupt)
    signal.signal(signal.SIGTERM, tell)
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    for thread in range(1, threads):
        threading.Thread(target=work, args=(thread,), daemon=True).start()
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    generator = random.Random(seed)
    timer = threading.Thread(target=_interrupt_now_and_then, args=(generator,), daemon=True)
    timer.start()
    row = 0
    while not told:
        try:
            interruptible = True
            log_one(0, row)
            interruptible = False
        except Interrupted:  # it may be there or not, and is not logged again
            os.write(interrupted, struct.pack("@Q", row))
        row += 1
    writer.end(lambda points, records: json.dumps({"points": points, "records": records}))
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.kill(os.getpid(), signal.SIGKILL)


def _interrupt_now_and_then(generator: random.Random) -> None:
    while True:
        time.sleep(generator.random() * 0.02)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


class Seen:
    """A sink that compares rows as they come. Of each thread it knows which rows were there."""

    def __init__(self, threads: int) -> None:
        self.next = [0] * (threads + 1)
        self.ahead: list[set[int]] = [set() for _ in range(threads + 1)]
        self.rows = self.points = self.doubled = self.wrong = self.records = 0
        self.last: dict[str, int] = {}

    def row(self, keyset: tuple[str, ...], number: int, time_us: int, step_and_values: memoryview) -> bool:
        (row,) = struct.unpack_from("@q", step_and_values)
        found = struct.unpack_from(f"@{len(keyset)}d", step_and_values, 8)
        thread = int(found[0])
        self.wrong += keyset != keys_of(thread, row) or found != values_of(thread, row, len(keyset))
        self.wrong += number != self.records + 1 and number <= self.records
        self.records = number
        self.rows += 1
        self.points += len(keyset)
        ahead = self.ahead[thread]
        if row < self.next[thread] or row in ahead:
            self.doubled += 1
        else:
            ahead.add(row)
            while self.next[thread] in ahead:
                ahead.discard(self.next[thread])
                self.next[thread] += 1
        return True

    def json(self, number: int, time_us: int, data: bytes) -> bool:
        self.records = number
        if data:
            self.last = json.loads(data)
        return True

    def missing(self, notes: bytes, interrupted: set[int]) -> tuple[int, int]:
        """Rows that returned and are not there, and rows that are there and were never submitted. `interrupted`: of
        thread 0, which may be there or not."""
        lost = invented = 0
        for thread, (following, ahead) in enumerate(zip(self.next, self.ahead, strict=True)):
            submitted, returned = _NOTE.unpack_from(notes, thread * _NOTE.size)
            invented += sum(row >= submitted for row in ahead) + (following > submitted)
            lost += sum(
                row not in ahead and (thread > 0 or row not in interrupted) for row in range(following, returned)
            )
        return lost, invented


class DeletingReader(SpoolReader):
    """Deletes the segments that it has read, as the sender does when they are stored."""

    def _go_to(self, segment: int) -> None:
        path = self._folder / format.segment_name(self.place.segment)
        super()._go_to(segment)
        path.unlink(missing_ok=True)


def play(folder: Path, threads: int, seed: int, seconds: float, end: bool) -> dict[str, int]:
    """One life of the process: `end`: it ends its stream itself, while its threads log; else it is killed."""
    spool, notes_path = folder / "spool", folder / "notes"
    spool.mkdir()
    notes_path.write_bytes(bytes(_NOTE.size * (threads + 1)))
    command = [sys.executable, "-m", "tests.faults.threads", "--child", str(folder), "--threads", str(threads)]
    process = subprocess.Popen([*command, "--seed", str(seed)])
    seen, reader = Seen(threads), DeletingReader(spool, SpoolPosition(0, format.HEADER_BYTES))

    def wait_until(begun: Callable[[], bool]) -> None:
        while not begun() and process.poll() is None:
            time.sleep(0.001)

    wait_until((spool / format.segment_name(0)).exists)  # a sender sees a stream when it has its first record
    # On a busy machine its threads and handlers come late: it lives `seconds` from the first row that returned.
    wait_until(lambda: _NOTE.unpack_from(notes_path.read_bytes())[1] > 0)
    timers = [threading.Timer(seconds, process.send_signal, [signal.SIGTERM if end else signal.SIGKILL])]
    hung = threading.Event()
    timers += [threading.Timer(seconds + GUARD_S, process.send_signal, [signal.SIGUSR2])]  # it says where it is
    timers += [threading.Timer(seconds + GUARD_S + 2, lambda: (hung.set(), process.kill()))]
    for timer in timers:
        timer.start()
    while process.poll() is None:
        reader.drain(seen)
    for timer in timers:
        timer.cancel()
    reader.drain(seen, dead=not end)
    lost, invented = seen.missing(notes_path.read_bytes(), interrupted_rows(folder / "interrupted"))
    wrong_end = 0
    if end:
        wrong_end += not reader.at_end() or seen.last != {"points": seen.points, "records": seen.records - 1}
        wrong_end += reader.damage.records + reader.damage.segments
        if wrong_end:
            have = f"{seen.points} points in {seen.records} records, {reader.damage}"
            print(f"wrong end: {seen.last}, read {have}, at the end: {reader.at_end()}, status {process.returncode}")
    reader.close()
    shutil.rmtree(folder)
    return {
        "rows": seen.rows,
        "segments": reader.place.segment,
        "in_handlers": seen.next[threads],
        "lost": lost,
        "doubled": seen.doubled,
        "wrong": seen.wrong + invented,
        "wrong_ends": wrong_end,
        "hung": int(hung.is_set()),
    }


def interrupted_rows(path: Path) -> set[int]:
    data = path.read_bytes() if path.exists() else b""
    return {row for (row,) in struct.iter_unpack("@Q", data[: len(data) // 8 * 8])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        log_for_ever(arguments.child / "spool", arguments.child / "notes", arguments.threads, arguments.seed)
        return
    generator = random.Random(arguments.seed)
    total: dict[str, int] = {"rows": 0, "lives": 0}
    before = time.monotonic()
    shared = Path("/dev/shm")  # the quickest place; any will do
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as root:
        while total["rows"] < arguments.rows:
            folder = Path(root) / str(total["lives"])
            folder.mkdir()
            seed, seconds, end = generator.randrange(1 << 30), generator.uniform(0.5, 8), total["lives"] % 3 == 0
            life = play(folder, arguments.threads, seed, seconds, end)
            total["lives"] += 1
            for name, value in life.items():
                total[name] = total.get(name, 0) + value
            print(f"life {total['lives']}: {life}", flush=True)
    bad = sum(total[name] for name in ("lost", "doubled", "wrong", "wrong_ends", "hung"))
    python = sys.version.split()[0]
    seconds = round(time.monotonic() - before)
    print(json.dumps({**total, "seconds": seconds, "python": python, "threads": arguments.threads}))
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
