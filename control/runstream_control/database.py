"""Open the control database, migrate its schema, and run its methods in threads.

SQLAlchemy is used synchronously: SQLite has no other way, and one driver for both databases keeps one behaviour.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from runstream_common.service.config import ConfigError
from runstream_control import core_tables, saved_tables, sweep_tables
from runstream_control.errors import ControlUnavailableError

_ATTEMPTS = 8
"""Attempts of a transaction that lost a race. Another one won, so a few suffice; jitter spreads them."""
_READS = "runstream_reads"
"""The option that marks connections which only read."""
P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D", bound="Database")


def in_thread(
    method: Callable[Concatenate[D, P], R],
) -> Callable[Concatenate[D, P], Coroutine[Any, Any, R]]:
    """Run a method in a thread, and again when it lost a race. Raise ControlUnavailableError."""

    @functools.wraps(method)
    async def call(self: D, *args: P.args, **kwargs: P.kwargs) -> R:
        async with self.slots:
            return await asyncio.to_thread(functools.partial(_persist, method, self, *args, **kwargs))

    return call  # type: ignore[return-value]  # functools.wraps hides that `self` stays positional


def _persist(method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    for attempt in range(_ATTEMPTS):
        try:
            return method(*args, **kwargs)
        except (IntegrityError, OperationalError) as error:
            if attempt + 1 == _ATTEMPTS:
                raise ControlUnavailableError(f"the control database does not answer: {_short(error)}") from error
            time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311  # jitter, no secret
        except SQLAlchemyError as error:
            raise ControlUnavailableError(f"the control database failed: {_short(error)}") from error
    raise AssertionError("unreachable")


def _short(error: SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return (str(cause).splitlines() or [""])[0][:200]


class Database:
    """The control database in SQLite or PostgreSQL.

    Methods of subclasses under `in_thread` find the engine in `_engine`. `_reading` is the same engine for methods that
    only read: on SQLite it takes no lock, and waits for no writer.
    """

    def __init__(self, engine: Engine, turns: AbstractContextManager[object] | None = None) -> None:
        """Use this engine.

        `turns` is the lock of another Database on the same engine, for the writers of this process.
        """
        self._engine = engine
        self._reading = engine.execution_options(**{_READS: True})
        alone = engine.dialect.name == "sqlite"
        self._turns = turns or (threading.Lock() if alone else contextlib.nullcontext())
        self.slots = asyncio.Semaphore(16)

    @classmethod
    def open(cls, url: str) -> Self:
        """Open `sqlite:////path` or `postgresql://user@host/db`. Raise ConfigError."""
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise ConfigError(
                "RUNSTREAM_CONTROL_URL is no database URL: give sqlite:////folder/control.db or postgresql://user@host/db"
            ) from error
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite":
            if parsed.database and not parsed.database.startswith((":memory:", "file:")):
                _make_private(Path(parsed.database))
            engine = create_engine(parsed, connect_args={"timeout": 30.0})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_immediate)
        else:
            engine = create_engine(parsed, pool_size=16, max_overflow=0, pool_pre_ping=True)
        return cls(engine)

    @classmethod
    def beside(cls, other: Database) -> Self:
        """Return the same database on the same connections. Close only one of the two."""
        return cls(other._engine, other._turns)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Yield a connection within a transaction, for methods that write often.

        SQLite has one writer at a time, and lets the others try again after pauses that grow to 100 ms. The lock wakes
        the writers of this process one by one instead.
        """
        with self._turns, self._engine.begin() as connection:
            yield connection

    async def close(self) -> None:
        await asyncio.to_thread(self._engine.dispose)

    @in_thread
    def migrate(self) -> int:
        """Bring the schema to `tables.VERSION`. Return the version that it had, or 0 where there was none."""
        with self._engine.begin() as connection:
            found = _version(connection)
            if found > core_tables.VERSION:
                raise ControlUnavailableError(f"the control database has version {found}, newer than this server")
            for module in (sweep_tables, saved_tables):  # each registers its tables
                module.metadata.create_all(connection, checkfirst=True)
            if found == 0:
                connection.execute(insert(core_tables.schema_version).values(version=core_tables.VERSION))
                return found
            for version in range(found + 1, core_tables.VERSION + 1):
                for statement in core_tables.MIGRATIONS[version]:
                    connection.execute(text(statement))
            connection.execute(update(core_tables.schema_version).values(version=core_tables.VERSION))
            return found

    @in_thread
    def check_schema(self) -> None:
        """Raise ControlUnavailableError when the schema is not migrated."""
        with self._engine.connect() as connection:
            found = _version(connection)
        if found != core_tables.VERSION:
            raise ControlUnavailableError(
                f"the control database has schema version {found}, this server needs "
                f"{core_tables.VERSION}: run `runstream migrate`"
            )


def _make_private(file: Path) -> None:
    """Make the file readable for its owner only, before SQLite writes to it.

    Files that SQLite puts beside it get the same mode. Where the file cannot be made, or belongs to somebody else, no
    error is raised here: opening the database raises it.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for one in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
            if one.exists() and one.stat().st_mode & 0o077:
                one.chmod(0o600)


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table("schema_version"):
        return 0
    return int(connection.execute(select(core_tables.schema_version.c.version)).scalar() or 0)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # this driver's own transactions begin too late to be safe: see _begin_immediate
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock first: a transaction that reads, then writes, would fail when another wrote in between."""
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
