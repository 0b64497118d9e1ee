"""The control database in SQLite: checked, copied, put back. A copy is checked itself before
it gets its name."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection

from runstream_common.control.errors import ControlUnavailableError
from runstream_common.limits import MAX_EPOCH

KEPT = 3
EPOCHS_SKIPPED = 1000
"""Attempts of runs since the copy are forgotten with it: those that come get numbers that none of them had. Also those
of runs that the copy does not know: the database says in its `user_version` how many are skipped (`epochs_before`)."""
_PREFIX = "control-"
_THOROUGH_BYTES = 64 << 20
"""Up to this size indexes are compared with their tables, too."""
_ADVICE = "stop `runstream up`, then put the last good copy back with `runstream control restore`"


class ControlDamagedError(ControlUnavailableError):
    """The file is not what was written. The message says what to do."""


def check(path: Path) -> None:
    """Raises ControlDamagedError when the database is damaged, or gone while copies of it are there. SQLite has no
    checksums: other bytes within a value are not seen, other bytes in its structure are."""
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
    """Make a copy of a sound database, beside those who write to it, and forget old ones; None when nothing has changed
    since the last. Raises ControlDamagedError, OSError."""
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
    """The oldest first."""
    return sorted(folder_of(path).glob(f"{_PREFIX}*.db"))


def folder_of(path: Path) -> Path:
    """Where the copies of a database are."""
    return path.parent / "backup"


def restore(path: Path, source: Path) -> Path | None:
    """Put a copy in the database's place, while nobody has it open. Returns the folder with what was there before.

    Raises ControlDamagedError when the copy is damaged, too; OSError.
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
    """Return the epoch that the first attempt of a new run comes after: higher after each restoration, 0 where none
    was."""
    if connection.dialect.name != "sqlite":
        return 0
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _skipped(database: Path) -> int:
    """From the file's header, so that one which is damaged elsewhere tells it too; 0 where it makes no sense."""
    try:
        with database.open("rb") as file:
            header = file.read(100)
    except OSError:
        return 0
    found = int.from_bytes(header[60:64], "big") if header.startswith(b"SQLite format 3\0") else 0
    return found if found < MAX_EPOCH // 2 else 0


def _free(path: Path) -> Path:
    """The path, with a number where it is taken: two restorations within a second."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return path if not path.exists() else next(one for one in numbered if not one.exists())


def _write_copy(source: Path, target: Path) -> None:
    """As one file, private, on the disk. Raises ControlDamagedError, OSError."""
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
    """What the engine finds wrong, in its words."""
    pragma = "integrity_check" if path.stat().st_size <= _THOROUGH_BYTES else "quick_check"
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30)
        ) as database:
            found = [str(row[0]) for row in database.execute(f"PRAGMA {pragma}(3)")]
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == ["ok"] else "; ".join(" ".join(text.split()) for text in found)[:300]
