"""Check, copy and restore the control database in SQLite. A copy gets its name only after it was checked."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection

from runstream_common.limits import MAX_EPOCH
from runstream_control.errors import ControlUnavailableError

KEPT = 3
EPOCHS_SKIPPED = 1000
"""How many epochs a restoration skips.

Attempts of runs that began after the copy are unknown to it; later attempts get numbers that none of those had. This
also holds for runs that the copy does not know: the `user_version` of the database says how many epochs are skipped
(`epochs_before`).
"""
_PREFIX = "control-"
_THOROUGH_BYTES = 64 << 20
"""Up to this size, the check also compares indexes with their tables."""
_ADVICE = "stop `runstream up`, then put the last good copy back with `runstream control restore`"


class ControlDamagedError(ControlUnavailableError):
    """The file does not hold what was written. The message says what to do."""


def check(path: Path) -> None:
    """Raise ControlDamagedError when the database is damaged, or gone while copies of it exist.

    SQLite has no checksums: changed bytes within a value are not found, changed bytes in the structure are.
    """
    if not path.exists() or path.stat().st_size == 0:
        if copies(path):
            raise ControlDamagedError(
                f"the control database {path} is {'empty' if path.exists() else 'gone'}, its copies are there: "
                f"{_ADVICE}, or move {folder_of(path)} away to begin anew"
            )
        return
    problem = _problem(path)
    if problem:
        advice = (
            _ADVICE if copies(path) else f"there is no copy of it in {folder_of(path)}: put a backup of yours there"
        )
        raise ControlDamagedError(f"the control database {path} is damaged ({problem}): {advice}")


def copy(path: Path) -> Path | None:
    """Copy a sound database while others write to it, and delete old copies.

    Return the copy, or None when nothing has changed since the last one. Raise ControlDamagedError or OSError.
    """
    folder = folder_of(path)
    folder.mkdir(mode=0o700, exist_ok=True)
    temporary = folder / ".control.db"
    _write_copy(path, temporary)
    if problem := _problem(temporary):
        temporary.unlink()
        raise ControlDamagedError(f"the control database {path} is damaged ({problem}): {_ADVICE}")
    there = copies(path)
    if there and there[-1].read_bytes() == temporary.read_bytes():
        temporary.unlink()
        return None
    name = folder / f"{_PREFIX}{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.db"
    temporary.replace(name)
    for old in copies(path)[:-KEPT]:
        old.unlink()
    return name


def copies(path: Path) -> list[Path]:
    """Return the copies of a database, oldest first."""
    return sorted(folder_of(path).glob(f"{_PREFIX}*.db"))


def folder_of(path: Path) -> Path:
    """Return the folder in which the copies of a database are."""
    return path.parent / "backup"


def restore(path: Path, source: Path) -> Path | None:
    """Put a copy in the database's place, while no process has the database open.

    Return the folder into which the old files were moved, or None when there were none. Raise ControlDamagedError when
    the copy is damaged, too, and OSError.
    """
    if problem := _problem(source):
        raise ControlDamagedError(f"the copy {source} is damaged ({problem}): name another")
    temporary = path.with_name(f".{path.name}.restored")
    _write_copy(source, temporary)
    skipped = max(map(_skipped, [path, *copies(path)])) + EPOCHS_SKIPPED
    with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
        connection.execute("UPDATE runs SET last_epoch = last_epoch + ?", (skipped - _skipped(source),))
        connection.execute(f"PRAGMA user_version = {skipped:d}")
    aside = _free(folder_of(path) / f"damaged-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}")
    moved = [old for suffix in ("", "-wal", "-shm") if (old := path.with_name(path.name + suffix)).exists()]
    if moved:
        aside.mkdir(mode=0o700, parents=True)
    for old in moved:
        old.replace(aside / old.name)
    temporary.replace(path)
    return aside if moved else None


def epochs_before(connection: Connection) -> int:
    """Return the epoch after which the first attempt of a new run comes.

    Each restoration raises it; it is 0 where there was no restoration.
    """
    if connection.dialect.name != "sqlite":
        return 0
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _skipped(database: Path) -> int:
    """Return the skipped epochs from the file's header, or 0 where the number makes no sense.

    The header is read as bytes, because it may be sound in a database that is damaged elsewhere.
    """
    try:
        with database.open("rb") as file:
            header = file.read(100)
    except OSError:
        return 0
    found = int.from_bytes(header[60:64], "big") if header.startswith(b"SQLite format 3\0") else 0
    return found if found < MAX_EPOCH // 2 else 0


def _free(path: Path) -> Path:
    """Return the path, with a number where it is taken: two restorations may happen within a second."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return path if not path.exists() else next(one for one in numbered if not one.exists())


def _write_copy(source: Path, target: Path) -> None:
    """Write a private copy as one file, and flush it to disk. Raise ControlDamagedError or OSError."""
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as from_,
            contextlib.closing(sqlite3.connect(target)) as to,
        ):
            from_.backup(to)
            to.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise ControlDamagedError(f"{source} cannot be copied ({error})") from error
    fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _problem(path: Path) -> str | None:
    """Return the fault that the engine finds, in its own words, or None."""
    pragma = "integrity_check" if path.stat().st_size <= _THOROUGH_BYTES else "quick_check"
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30)
        ) as database:
            found = [str(row[0]) for row in database.execute(f"PRAGMA {pragma}(3)")]
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == ["ok"] else "; ".join(" ".join(text.split()) for text in found)[:300]
