"""What a row costs the thread that logs it, and what threads cost one another: the spool's writer alone.

    python -m tests.bench.spool [--against COMMIT] [--blocks N] [--rounds N]      JSON last

`append_row`: rows of ten metrics, this tree's writer and that of COMMIT (by default the last one before claims, which
lost rows of threads that logged at once) in alternating blocks of one process, so that a busy machine slows both alike.
`threads`: rows a second of two threads together against those of one, by wall clock and by processor time; beside it
the same of threads that pack such rows into memory of their own and share nothing but the interpreter's lock: what
that lock allows on this machine (`of_lock`: how much of it the writer reaches).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BEFORE_CLAIMS = "0dea409"
WIDTH, BLOCK_ROWS, THREAD_ROWS = 10, 4000, 60_000
_ROOT = Path(__file__).resolve().parents[2]

AppendRow = Callable[[tuple[str, ...], Any, int, int], None]


def load_writer(tree: Path) -> Callable[[Path], Any]:
    """Import a tree's SpoolWriter, whatever was imported before."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "runstream"]:
        del sys.modules[name]
    sys.path.insert(0, str(tree / "sdk"))
    try:
        from runstream.spool import writer
    finally:
        sys.path.pop(0)
    assert Path(str(writer.__file__)).is_relative_to(tree), writer.__file__
    return writer.SpoolWriter


@contextlib.contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """The SDK of a commit, in a folder of its own."""
    archive = subprocess.run(
        ["git", "-C", str(_ROOT), "archive", commit, "sdk"],
        check=True,
        capture_output=True,
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


@contextlib.contextmanager
def spool(make_writer: Callable[[Path], Any]) -> Iterator[AppendRow]:
    shared = Path("/dev/shm")  # the quickest place; any will do
    folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    writer = make_writer(folder)
    try:
        yield writer.append_row
    finally:
        writer.close()
        shutil.rmtree(folder)


def block_ns(make_writer: Callable[[Path], Any]) -> float:
    """The median time of a row, in nanoseconds."""
    values = {f"metric {index}": index * 1.5 for index in range(WIDTH)}
    clock, times = time.perf_counter_ns, []
    with spool(make_writer) as append_row:
        for step in range(BLOCK_ROWS):
            before = clock()
            append_row(tuple(values), values.values(), step, before)
            times.append(clock() - before)
    return statistics.median(times)


def compare(commit: str, blocks: int) -> dict[str, float]:
    with tree_of(commit) as tree:
        writers = {"before": load_writer(tree), "now": load_writer(_ROOT)}
        found: dict[str, list[float]] = {name: [] for name in writers}
        order = list(writers)
        for _ in range(blocks):
            random.shuffle(order)
            for name in order:
                found[name].append(block_ns(writers[name]))
    ratios = [now / before for now, before in zip(found["now"], found["before"], strict=True)]
    return {
        "before_ns": round(statistics.median(found["before"])),
        "now_ns": round(statistics.median(found["now"])),
        "ratio": round(statistics.median(ratios), 3),
    }


@contextlib.contextmanager
def own_memory() -> Iterator[AppendRow]:
    """Rows packed into memory of the thread's own: nothing is shared but the interpreter's lock."""
    pack, own = struct.Struct(f"<QQ{WIDTH}d").pack_into, threading.local()

    def append_row(keys: tuple[str, ...], values: Any, step: int, now: int) -> None:
        try:
            memory, rows = own.memory, own.rows
        except AttributeError:
            memory, rows = own.memory, own.rows = bytearray(1 << 20), {}
        pack(memory, step * 96 % (1 << 19), step, now, *values)
        rows.setdefault(step & 1023, keys)

    yield append_row


def rows_a_second(where: contextlib.AbstractContextManager[AppendRow], threads: int) -> tuple[float, float]:
    """Of all threads together: by wall clock, and by the process's processor time."""

    def log(thread: int) -> None:
        values = {f"{thread}/{index}": index * 1.5 for index in range(WIDTH)}
        for step in range(THREAD_ROWS // threads):
            append_row(tuple(values), values.values(), step, step)

    with where as append_row:
        workers = [threading.Thread(target=log, args=(number,)) for number in range(threads)]
        wall, processor = time.perf_counter(), time.process_time()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return THREAD_ROWS / (time.perf_counter() - wall), THREAD_ROWS / (time.process_time() - processor)


def threads_together(rounds: int) -> dict[str, float]:
    """Two threads against one. On a busy machine the processor's time is the one to look at."""
    make_writer = load_writer(_ROOT)
    places: dict[str, Callable[[], contextlib.AbstractContextManager[AppendRow]]]
    places = {"writer": lambda: spool(make_writer), "lock": own_memory}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in places}
    rates = []
    for number in range(rounds):
        for name, where in places.items():
            rate = {threads: rows_a_second(where(), threads) for threads in ((1, 2), (2, 1))[number % 2]}
            found[name].append((rate[2][0] / rate[1][0], rate[2][1] / rate[1][1]))
            if name == "writer":
                rates.append((rate[1][0], rate[2][0]))
    wall, processor = (
        {name: statistics.median(ratios[which] for ratios in found[name]) for name in found} for which in (0, 1)
    )
    return {
        "one": round(statistics.median(one for one, _ in rates)),
        "two_together": round(statistics.median(two for _, two in rates)),
        "ratio_wall": round(wall["writer"], 3),
        "ratio_processor": round(processor["writer"], 3),
        "lock_wall": round(wall["lock"], 3),
        "lock_processor": round(processor["lock"], 3),
        "of_lock_wall": round(wall["writer"] / wall["lock"], 3),
        "of_lock_processor": round(processor["writer"] / processor["lock"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", default=BEFORE_CLAIMS, metavar="COMMIT")
    parser.add_argument("--blocks", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=16)
    arguments = parser.parse_args()
    found = {
        "append_row": compare(arguments.against, arguments.blocks),
        "threads": threads_together(arguments.rounds),
        "load": os.getloadavg()[0],
        "python": sys.version.split()[0],
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
