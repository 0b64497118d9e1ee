"""Guard the data against a full disk.

The engine (chdb 26.9) lets an insert or a merge succeed whose last small files found no room. Such a part is readable
until the next start, and then the engine detaches it as broken. Therefore writes are refused before the disk is full,
merges stop, and parts that were written while it was nearly full are checked. After a broken part the engine is started
again at once, by `exec`: it comes back with the parts from which a broken merge was made. A broken insert was never
answered.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

import structlog

from runstream_common.sql_files import read_sql
from runstream_deploy.embedded.sql_literals import string_literal

LOG = structlog.get_logger()
_MARGIN_BYTES = 64 << 20
_TICK_S = 0.1
_SQL = Path(__file__).parent / "sql"
_MERGES_END_S = 20.0
_KNOWN = "RUNSTREAM_CLICKHOUSE_BROKEN_PARTS"
"""The variable that lists the parts that have restarted the engine already. They do not restart it a second time."""


class StatementRunner(Protocol):
    """A function that runs a statement and returns its rows. It raises RuntimeError."""

    def __call__(self, sql: str, **parameters: str) -> list[list[str]]: ...


class DiskSpaceGuard:
    """Guard writes: call `room()` before each, and `verify_since()` after it.

    A thread checks the disk ten times a second.
    """

    def __init__(self, data: Path, ask: StatementRunner) -> None:
        """Guard the folder `data`. Call `forget_tokens` before the engine opens its data."""
        self._data = data
        self._ask = ask
        self._lock = threading.Lock()
        found = os.statvfs(data)
        self._margin = min(_MARGIN_BYTES, found.f_blocks * found.f_frsize // 8)
        self._low = False
        self._last_low = 0.0
        self._state = _open_state(data)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="space", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._state)

    def room(self) -> str | None:
        """Return why nothing can be written now, or None."""
        if not self._is_low():
            return None
        return (
            f"Code: 243. DB::Exception: Less than {self._margin >> 20} MiB are free below {self._data}: writes are "
            "refused until there is more. (NOT_ENOUGH_SPACE)"
        )

    def verify_since(self, started: float) -> None:
        """Check the parts of a write that began at `started` (monotonic), if the disk was nearly full meanwhile.

        Return when the parts are good. Otherwise this never returns: the process starts again.
        """
        if self._is_low() or self._last_low >= started:
            self._verify()

    def _is_low(self) -> bool:
        found = os.statvfs(self._data)
        low = found.f_bavail * found.f_frsize < self._margin
        if low:
            self._last_low = time.monotonic()
        return low

    def _watch(self) -> None:
        while not self._ended.wait(_TICK_S):
            try:
                low = self._is_low()
                if low and not self._low:
                    self._enter()
                elif self._low and not low and time.monotonic() - self._last_low > 1.0:
                    self._leave()
            except (RuntimeError, OSError) as error:
                _log("the free disk space could not be checked, trying again", error=str(error)[:300])

    def _enter(self) -> None:
        os.pwrite(self._state, b"1", 0)
        _log("the disk is nearly full: writes are refused until there is free space", folder=str(self._data))
        self._ask("SYSTEM STOP MERGES")
        deadline = time.monotonic() + _MERGES_END_S
        while time.monotonic() < deadline and self._ask(read_sql(_SQL, "running_merges")) != [["0"]]:
            time.sleep(_TICK_S)
        self._verify()
        self._low = True

    def _leave(self) -> None:
        self._verify()
        self._ask("SYSTEM START MERGES")
        os.pwrite(self._state, b"0", 0)
        self._low = False
        _log("the disk has free space again: writes are accepted", folder=str(self._data))

    def _verify(self) -> None:
        """Check every part that was made lately."""
        with self._lock:
            broken = self._broken()
            known = set(filter(None, os.environ.get(_KNOWN, "").split(",")))
            if broken and not broken <= known:
                _log(
                    "parts were written while the disk was full: the engine restarts without them",
                    parts=[*broken],
                )
                os.pwrite(self._state, b"1", 0)
                os.environ[_KNOWN] = ",".join(sorted(broken | known))
                os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # itself, as it was called

    def _broken(self) -> set[str]:
        made = self._ask(read_sql(_SQL, "recent_parts"))
        broken = set()
        for database, table, name in made:
            try:
                rows = self._ask(
                    # The grammar takes a parameter for the table, and none for the part.
                    f"CHECK TABLE {{database:Identifier}}.{{table:Identifier}} PART {string_literal(name)} "
                    "SETTINGS check_query_single_value_result = 0",
                    database=database,
                    table=table,
                )
            except RuntimeError:  # the part was merged away meanwhile, or its table dropped
                continue
            broken |= {f"{table}/{row[0]}" for row in rows if row[1] == "0"}
        return broken


def _log(event: str, **details: object) -> None:
    """Log an event. An error is ignored, because the log may be on the full disk."""
    with contextlib.suppress(OSError):
        LOG.error(event, **details)


def forget_tokens(data: Path) -> None:
    """Delete the engine's memory of insert tokens, if the disk was nearly full when the engine ended.

    The memory may name inserts whose parts are broken. Without it a repeated insert is stored again, which the rows'
    keys and versions make harmless.
    """
    state = _open_state(data)
    try:
        if os.pread(state, 1, 0) == b"1":
            for folder in (data / "engine").rglob("deduplication_logs"):
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(state)


def _open_state(data: Path) -> int:
    """Open a file of one byte. It exists before the disk is full, so that it can be changed then."""
    fd = os.open(data / "disk-was-full", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not os.fstat(fd).st_size:
        os.pwrite(fd, b"0", 0)
    return fd
