"""Explore the spool's claim protocol: every schedule with a bounded number of switches, on the real code.

    python -m tests.property.spool_claims [--stride N]      all schedules of all scenes (minutes), or every Nth

Each scene has two threads that append to one writer whose segment has room for few more records. A schedule says after
how many bytecodes of the spool's code each thread stands still. At the point that it leads to, the files are read as
after SIGKILL; then both threads run to their ends and the files are read again. What must hold is in `Scene.check`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runstream.errors import SpoolClosedError
from runstream.spool import format
from runstream.spool import writer as spool_writer
from runstream.spool.format import SpoolPosition
from runstream.spool.reader import SpoolReader
from runstream.spool.writer import SpoolWriter
from tests.support.interleavings import SteppedLock, finish_all, forget, play, sleep

FILES = tuple(f"runstream/spool/{name}.py" for name in ("writer", "segment", "claims", "holes", "records"))
FINE = frozenset(
    [
        "append_row",
        "_append",
        "_give_up",
        "_look_again",
        "_roll",
        "_switch",
        "_shut",
        "_settle_segment",
        "_go_on_from",
        "_find",
        "last",
        "make_room",
        "revoke",
    ]
)
"""Functions in which a thread may be stopped between any two bytecodes; in the others between lines."""
SEGMENT_BYTES = format.RESERVE_BYTES + 512
"""Room for a handful of rows."""


@dataclass
class Log:
    """What was appended, and how its call ended."""

    returned: set[tuple[str, int]] = field(default_factory=set)
    refused: set[tuple[str, int]] = field(default_factory=set)
    submitted: set[tuple[str, int]] = field(default_factory=set)
    ended: tuple[int, int] | None = None
    """Points and records, as the last record has them."""


class Found:
    """What a reader finds. A sink."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int]] = []
        self.numbers: list[int] = []
        self.points = 0
        self.wrong: list[tuple[str, int]] = []
        self.texts: list[bytes] = []

    def row(self, keyset: tuple[str, ...], number: int, time_us: int, step_and_values: memoryview) -> bool:
        (step,) = struct.unpack_from("@q", step_and_values)
        name = keyset[0].partition("/")[0]
        self.rows.append((name, step))
        self.numbers.append(number)
        self.points += len(keyset)
        if struct.unpack_from(f"@{len(keyset)}d", step_and_values, 8) != tuple(values(name, step, len(keyset))):
            self.wrong.append((name, step))
        return True

    def json(self, number: int, time_us: int, data: bytes) -> bool:
        self.numbers.append(number)
        if data:
            self.texts.append(data)
            if data.startswith(b"text "):
                _, name, step = data.split()
                self.rows.append((name.decode(), int(step)))
        return True


def values(name: str, step: int, count: int) -> list[float]:
    return [sum(name.encode()) * 1000 + step * 10 + index for index in range(count)]


def read(folder: Path, *, dead: bool) -> tuple[Found, SpoolReader]:
    found, reader = Found(), SpoolReader(folder, SpoolPosition(0, format.HEADER_BYTES))
    reader.drain(found, dead=dead)
    reader.close()
    return found, reader


class Scene:
    """One writer and what its threads do."""

    def __init__(self, folder: Path, width: int, filled: int) -> None:
        """`filled`: rows that are there before; so many that the next one, or the one after, needs a segment."""
        self.folder = folder
        self.width = width
        self.writer = SpoolWriter(folder, segment_bytes=SEGMENT_BYTES)
        self.writer._lock = SteppedLock()  # type: ignore[assignment]
        self.log = Log()
        self._live = SpoolReader(folder, SpoolPosition(0, format.HEADER_BYTES))
        self._seen = Found()
        for step in range(filled):
            self.row("main", step)

    def row(self, name: str, step: int) -> None:
        self._note(
            name, step, lambda: self.writer.append_row(self._keys(name), values(name, step, self.width), step, 0)
        )

    def text(self, name: str, step: int) -> None:
        self._note(name, step, lambda: self.writer.append_json(f"text {name} {step}", 0))

    def end(self) -> None:
        def last(points: int, records: int) -> str:
            self.log.ended = (points, records)
            return "end"

        self.writer.end(last, patience_s=0.0)

    def look(self) -> None:
        """Read on from where the last look ended, as the sender does: what it has seen stays."""
        self._live.drain(self._seen)

    def close(self) -> None:
        self._live.close()
        self.writer.close()

    def check(self, *, dead: bool, at_rest: bool) -> None:
        """Raise AssertionError when a promise is broken. `at_rest`: no call is under way any more."""
        found, reader = read(self.folder, dead=dead)
        log = self.log
        assert not found.wrong, f"wrong: {found.wrong}"
        assert len(found.rows) == len(set(found.rows)), f"doubled: {found.rows}"
        assert set(found.rows) <= log.submitted, "never submitted"
        missing = log.returned - set(found.rows)
        assert not missing, f"returned and not there: {missing}"
        assert found.numbers == sorted(set(found.numbers)), f"numbers: {found.numbers}"
        if at_rest:
            self.look()
            assert self._seen.rows == found.rows, f"seen: {self._seen.rows}, there: {found.rows}"
            assert reader.damage.records == reader.damage.segments == 0, f"damage: {reader.damage}"
            assert found.numbers == list(range(1, len(found.numbers) + 1)), f"numbers: {found.numbers}"
            assert self.writer.points == found.points, f"points: {self.writer.points}, found {found.points}"
            assert self.writer.number == len(found.numbers), f"records: {self.writer.number}"
            if log.ended:
                assert log.ended == (found.points, len(found.numbers) - 1), f"finish record: {log.ended}"
                assert reader.at_end(), "not sealed"
            self._check_headers(found)

    def _check_headers(self, found: Found) -> None:
        for path in self.folder.glob("*.seg"):
            data = path.read_bytes()
            records = format.U64.unpack_from(data, format.RECORDS_OFFSET)[0]
            below = [number for number in found.numbers if number <= records]
            assert len(below) == records, f"{path.name}: {records} records before it"

    def _keys(self, name: str) -> tuple[str, ...]:
        return tuple(f"{name}/{index}" for index in range(self.width))

    def _note(self, name: str, step: int, append: Callable[[], object]) -> None:
        self.log.submitted.add((name, step))
        try:
            append()
        except SpoolClosedError:
            self.log.refused.add((name, step))
        else:
            self.log.returned.add((name, step))


Bodies = list[Callable[[], object]]


def rows_at_once(scene: Scene) -> Bodies:
    """Two threads log keys of their own; one of them rolls."""
    return [lambda: [scene.row("a", step) for step in (0, 1)], lambda: [scene.row("b", step) for step in (0, 1)]]


def same_keys(scene: Scene) -> Bodies:
    """Two threads log the same keys, which neither segment has yet."""
    return [lambda: scene.row("main", 100), lambda: scene.row("main", 101)]


def row_and_text(scene: Scene) -> Bodies:
    return [lambda: scene.row("a", 0), lambda: scene.text("b", 0)]


def row_and_end(scene: Scene) -> Bodies:
    """finish() while another thread logs."""
    return [lambda: [scene.row("a", step) for step in (0, 1)], scene.end]


def text_and_end(scene: Scene) -> Bodies:
    return [lambda: scene.text("a", 0), scene.end]


SCENES: tuple[Callable[[Scene], Bodies], ...] = (rows_at_once, same_keys, row_and_text, row_and_end, text_and_end)
FILLED = (1, 4, 5)
"""With 3 metrics a row of 64 bytes: room for some, for one, for none."""


def fresh(where: Path, numbers: Iterator[int], filled: int) -> Scene:
    folder = where / str(next(numbers))
    folder.mkdir()
    return Scene(folder, 3, filled)


def lengths(where: Path, numbers: Iterator[int], make: Callable[[Scene], Bodies], filled: int) -> list[int]:
    """How many steps each thread takes alone, with the others after it."""
    scene = fresh(where, numbers, filled)
    actors = play(make(scene), FILES, FINE, [])
    finish_all(actors)
    return [actor.steps for actor in actors]


def explore(where: Path, make: Callable[[Scene], Bodies], filled: int, keep: Callable[[int], bool]) -> int:
    """Play the schedules of one scene in which the first thread stands still anywhere, then the second anywhere, then
    both go on: in either order. Returns how many were played. `keep(n)`: whether the nth is played."""
    numbers = itertools.count()
    first, second = lengths(where, numbers, make, filled)
    played = 0
    ways = itertools.product(range(1, first + 40), range(0, second + 40, 1))
    for number, (one, two) in enumerate(ways):
        if not keep(number):
            continue
        scene = fresh(where, numbers, filled)
        actors = play(make(scene), FILES, FINE, [(0, one), (1, two)] if two else [(0, one)])
        try:
            scene.check(dead=True, at_rest=False)
            for actor in actors if number % 2 else actors[::-1]:
                scene.look()
                actor.advance(1 << 60)
            finish_all(actors)
            assert not list(scene.folder.glob(".*")), "a segment that nobody uses was left"
            assert not any(actor.error for actor in actors), [actor.error for actor in actors]
            scene.check(dead=False, at_rest=True)
        except AssertionError as error:
            raise AssertionError(f"{make.__name__}, {filled} rows before, schedule {one}, {two}: {error}") from error
        finally:
            for actor in actors:
                if not actor.done:
                    actor.abandon()
            forget(actors)
        remove(scene)
        played += 1
    return played


def explore_handlers(where: Path, make: Callable[[Scene], Bodies], filled: int, keep: Callable[[int], bool]) -> int:
    """The second thread's work, done by the first one in a signal handler at each of its steps: nested, to its end."""

    def play_at(scene: Scene, at: int) -> None:
        outer, inner = make(scene)
        with interrupted_at(at, inner) as run:
            run(outer)

    return _at_each_step(where, make, filled, keep, "handler", play_at)


def explore_exceptions(where: Path, make: Callable[[Scene], Bodies], filled: int, keep: Callable[[int], bool]) -> int:
    """Ctrl-C at each step of the first thread: its record is there or not; those behind it are, and nobody waits."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    def play_at(scene: Scene, at: int) -> None:
        outer, _ = make(scene)
        with interrupted_at(at, interrupt) as run, contextlib.suppress(KeyboardInterrupt):
            run(outer)
        scene.writer._lock = SteppedLock()  # type: ignore[assignment]
        for step in range(20):
            scene.row("after", step)
        scene.end()

    return _at_each_step(where, make, filled, keep, "Ctrl-C", play_at)


def _at_each_step(
    where: Path,
    make: Callable[[Scene], Bodies],
    filled: int,
    keep: Callable[[int], bool],
    what: str,
    play_at: Callable[[Scene, int], None],
) -> int:
    """Play a scene once for each step of its first thread. Returns how many times. `what`: what happens at the step."""
    numbers = itertools.count()
    (first, _) = lengths(where, numbers, make, filled)
    played = 0
    for number, at in enumerate(range(1, first + 1)):
        if not keep(number):
            continue
        scene = fresh(where, numbers, filled)
        play_at(scene, at)
        try:
            scene.check(dead=False, at_rest=True)
        except AssertionError as error:
            raise AssertionError(f"{make.__name__}, {filled} rows before, {what} at {at}: {error}") from error
        remove(scene)
        played += 1
    return played


class interrupted_at:  # reads as a statement
    """Run something, with `handler` called in it at its nth step, as the interpreter calls a signal's handler."""

    def __init__(self, at: int, handler: Callable[[], object]) -> None:
        self._left = at
        self._handler = handler

    def __enter__(self) -> Callable[[Callable[[], object]], None]:
        return self._run

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _run(self, body: Callable[[], object]) -> None:
        sys.settrace(self._enter)
        try:
            body()
        finally:
            sys.settrace(None)

    def _enter(self, frame, event, argument):  # type: ignore[no-untyped-def]
        if not frame.f_code.co_filename.endswith(FILES):
            return None
        frame.f_trace_opcodes = frame.f_code.co_name in FINE
        return self._step

    def _step(self, frame, event, argument):  # type: ignore[no-untyped-def]
        if event in ("opcode", "line"):
            self._left -= 1
            if self._left == 0:
                self._handler()
        return self._step


def remove(scene: Scene) -> None:
    scene.close()
    for path in scene.folder.iterdir():
        path.unlink()
    scene.folder.rmdir()


def explore_all(
    where: Path, keep: Callable[[int], bool], say: Callable[[str], None] = lambda line: None, every: int = 1
) -> int:
    """All scenes, fillings and kinds. `every`: play one in so many of the handlers and interrupts. Returns how many
    schedules were played; raises AssertionError at the first that breaks a promise."""
    total = 0
    spool_writer._sleep = sleep
    for kind, make, filled in itertools.product((explore, explore_handlers, explore_exceptions), SCENES, FILLED):
        folder = where / f"{kind.__name__}-{make.__name__}-{filled}"
        folder.mkdir()
        before = time.monotonic()
        played = kind(folder, make, filled, keep if kind is explore else lambda number: number % every == 0)
        total += played
        say(f"{kind.__name__} {make.__name__} {filled}: {played} schedules in {time.monotonic() - before:.1f} s")
    return total


def _every(number: int) -> bool:
    return True


def sampled(stride: int, seed: int = 0) -> Callable[[int], bool]:
    """Every one of `stride`, at a random place, the same every time."""
    generator = random.Random(seed)
    return lambda number: generator.randrange(stride) == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=1, help="play one of so many schedules")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    shared = Path("/dev/shm")  # the quickest place; any will do
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        keep = _every if arguments.stride == 1 else sampled(arguments.stride, arguments.seed)
        total = explore_all(Path(folder), keep, lambda line: print(line, flush=True))
    print(f'{{"schedules": {total}, "python": "{sys.version.split()[0]}", "broken": 0}}')


if __name__ == "__main__":
    main()
