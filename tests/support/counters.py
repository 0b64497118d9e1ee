"""Numbers in a file that outlive the SIGKILL of whoever counts."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 8


def new_counters(path: Path, number: int) -> None:
    path.write_bytes(bytes(number * SIZE))


@contextmanager
def counters(path: Path) -> Iterator[memoryview]:
    """The numbers (uint64) of a file, mapped. Each is stored whole: `struct.pack_into` writes zeros first, and a kill
    between the two leaves a zero."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped, memoryview(mapped).cast("Q") as numbers:
        yield numbers


def read_counters(path: Path) -> list[int]:
    with counters(path) as numbers:
        return list(numbers)
