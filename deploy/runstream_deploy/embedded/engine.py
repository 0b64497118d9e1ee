"""The engine: one chdb instance on a data folder, a session for each request, and a bounded number at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from runstream_common.clickhouse.http_protocol import BadRequestError
from runstream_common.sql_files import read_sql
from runstream_deploy.embedded.config import MAX_WAITING
from runstream_deploy.embedded.disk_space import DiskSpaceGuard, forget_tokens
from runstream_deploy.embedded.execution import Execution, StatementResult
from runstream_deploy.embedded.pipe import Pipe
from runstream_deploy.embedded.request import Statement
from runstream_deploy.embedded.sql_literals import string_literal

_SETTINGS_CLAUSE = re.compile(r"\bSETTINGS\s+\w+\s*=[^()]*$", re.IGNORECASE)
_ERROR = re.compile(r"Code: (\d+)")
_STATUS = {
    60: 404,  # UNKNOWN_TABLE
    81: 404,  # UNKNOWN_DATABASE
    46: 404,  # UNKNOWN_FUNCTION
    73: 404,  # UNKNOWN_FORMAT
    115: 404,  # UNKNOWN_SETTING
    159: 408,  # TIMEOUT_EXCEEDED
    164: 403,  # READONLY
    202: 503,  # TOO_MANY_SIMULTANEOUS_QUERIES
    241: 500,  # MEMORY_LIMIT_EXCEEDED
    243: 500,  # NOT_ENOUGH_SPACE
}
_SERVER_FAULTS = frozenset({49, 74, 75, 76, 84, 173, 210, 236, 243, 425, 1000, 1001, 1002})
_SYNTAX_ERROR = 62
# The settings of every session: an insert is stored when it is answered, and a runaway query ends.
_DEFAULTS = {"async_insert": "0", "max_execution_time": "300"}
_MAX_BUFFERED = str(2 << 30)
"""The largest answer, in bytes, that is not streamed but held whole in memory."""
_SQL = Path(__file__).parent / "sql"


class EngineError(Exception):
    """An error of the engine, with ClickHouse's number and the HTTP status that belongs to it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        match = _ERROR.search(message)
        self.code = int(match[1]) if match else 1002
        self.status = _STATUS.get(self.code, 500 if self.code in _SERVER_FAULTS or not match else 400)


class DataFolderError(Exception):
    """The data folder cannot be used."""


class _Result(Protocol):
    """The result of chdb's `query`."""

    def bytes(self) -> bytes | None: ...

    def rows_read(self) -> int: ...

    def bytes_read(self) -> int: ...


class _Session(Protocol):
    """A connection of chdb to the instance in this process."""

    def query(self, sql: str, output_format: str = ..., *, params: dict[str, str] | None = ...) -> _Result: ...

    def close(self) -> None: ...


class Engine:
    """Run statements in threads: the engine releases Python's lock while it works."""

    def __init__(self, data: Path, threads: int) -> None:
        """Open the data folder. Raise DataFolderError when another process has it."""
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_fd = _lock(data)
        forget_tokens(data)
        import chdb  # this takes 0.5 s and 250 MB: only the engine's process imports it

        self._connect = chdb.connect
        self._path = str(data / "engine")
        self._root: _Session = chdb.connect(self._path)  # keeps the instance, and its background merges, alive
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="query")
        self._patient = ThreadPoolExecutor(threads, thread_name_prefix="patient")
        self._killer = ThreadPoolExecutor(1, thread_name_prefix="kill")
        self._endings: set[asyncio.Task[None]] = set()
        self.running = 0
        self._space = DiskSpaceGuard(data, self._ask)
        self._space.start()

    @contextlib.asynccontextmanager
    async def execute(self, statement: Statement) -> AsyncIterator[Execution]:
        """Yield the running statement.

        Leaving a read before its end cancels it; a write goes on. Raise BadRequestError when too many statements wait.
        """
        if self.running >= MAX_WAITING:
            raise BadRequestError("Too many simultaneous queries", 202, "TOO_MANY_SIMULTANEOUS_QUERIES", 503)
        self.running += 1
        mark = uuid.uuid4().hex
        pipe = Pipe() if statement.streams else None

        async def kill() -> None:
            with contextlib.suppress(RuntimeError):  # the next attempt may succeed
                await asyncio.get_running_loop().run_in_executor(self._killer, self._kill, mark)

        threads = self._patient if statement.patient else self._threads
        execution = Execution(threads.submit(self._run, statement, mark, pipe), pipe, kill)
        try:
            yield execution
        finally:
            if execution.done:
                await self._end(execution, statement)
            else:
                # It is a task of its own, so that a cancelled caller leaves no pipe that nobody reads.
                ending = asyncio.create_task(self._end(execution, statement))
                self._endings.add(ending)
                ending.add_done_callback(self._endings.discard)
                await asyncio.shield(ending)

    async def close(self) -> None:
        """Let writes finish and reads end, then close the instance. Everything is on disk then."""
        while self._endings:
            await asyncio.wait(self._endings)
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._threads.shutdown(wait=True)
        self._patient.shutdown(wait=True)
        self._killer.shutdown(wait=True)
        self._space.close()
        self._root.close()
        os.close(self._lock_fd)

    async def _end(self, execution: Execution, statement: Statement) -> None:
        try:
            await execution.end(kill=statement.reads)
        finally:
            self.running -= 1

    def _run(self, statement: Statement, mark: str, pipe: Pipe | None) -> StatementResult:
        try:
            return self._answer(statement, mark, pipe)
        finally:
            if pipe is not None:
                pipe.end_writing()

    def _answer(self, statement: Statement, mark: str, pipe: Pipe | None) -> StatementResult:
        started = time.monotonic()
        if statement.writes and (full := self._space.room()):
            raise EngineError(full)
        # A fresh session costs a millisecond and inherits nothing from the request before.
        session = self._connect(self._path)
        try:
            self._prepare(session, statement, mark)
            if statement.data is not None:
                return self._insert(session, statement, started)
            result = self._query(session, statement, pipe)
            if statement.writes:
                self._space.verify_since(started)
            data = bytes(result.bytes() or b"")
            return StatementResult(data, time.monotonic() - started, result.rows_read(), result.bytes_read())
        except (RuntimeError, ValueError, TypeError) as error:
            raise EngineError(str(error)) from error
        finally:
            session.close()

    @staticmethod
    def _query(session: _Session, statement: Statement, pipe: Pipe | None) -> _Result:
        parameters = dict(statement.parameters) or None
        if pipe is not None:
            try:
                return session.query(statement.into(pipe.path), statement.output_format, params=parameters)
            except RuntimeError as error:
                if EngineError(str(error)).code != _SYNTAX_ERROR:
                    raise
            # The statement's own clauses (such as FORMAT x SETTINGS ...) do not allow the pipe: nothing has run.
            if "max_result_bytes" not in statement.settings:
                session.query(f"SET max_result_bytes = {_MAX_BUFFERED}")
        return session.query(statement.sql, statement.output_format, params=parameters)

    def _kill(self, mark: str) -> None:
        self._ask(read_sql(_SQL, "kill_marked_query"), mark=mark)

    def _ask(self, sql: str, **parameters: str) -> list[list[str]]:
        """Run a statement of the server's own, and return its rows. Raise RuntimeError."""
        session = self._connect(self._path)
        try:
            text = bytes(session.query(sql, "TSV", params=parameters or None).bytes() or b"").decode()
        finally:
            session.close()
        return [line.split("\t") for line in text.splitlines()]

    @staticmethod
    def _prepare(session: _Session, statement: Statement, mark: str) -> None:
        buffered = {} if statement.streams else {"max_result_bytes": _MAX_BUFFERED}
        settings = {**_DEFAULTS, **buffered, **statement.settings}
        settings["log_comment"] = f"{mark} {settings.get('log_comment', '')}"  # the mark by which it can be killed
        if statement.read_only:
            settings["readonly"] = "2"
        assignments = ", ".join(f"{name} = {string_literal(value)}" for name, value in settings.items())
        session.query(f"SET {assignments}")
        if statement.database and statement.database != "default":
            session.query(f"USE {_identifier(statement.database)}")

    def _insert(self, session: _Session, statement: Statement, started: float) -> StatementResult:
        if statement.read_only:
            raise EngineError("Code: 164. DB::Exception: Cannot insert in readonly mode. (READONLY)")
        assert statement.data is not None
        # The engine's streaming insert reports success when its commit fails (a full disk): the data go in as a file.
        with _in_memory(statement.data) as path:
            result = session.query(_from_file(statement.sql, path, statement.data_format))
        self._space.verify_since(started)
        return StatementResult(
            b"",
            time.monotonic() - started,
            rows_written=result.rows_read(),
            bytes_written=len(statement.data),
        )


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """Yield the path of a file with this content that is on no disk."""
    fd = os.memfd_create("insert", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def _from_file(sql: str, path: str, data_format: str) -> str:
    """Return `INSERT INTO t (a) [SETTINGS ...]` as an insert from a file."""
    settings = _SETTINGS_CLAUSE.search(sql)
    head, tail = (sql[: settings.start()], sql[settings.start() :]) if settings else (sql, "")
    return f"{head}\nFROM INFILE '{path}' COMPRESSION 'none' {tail}\nFORMAT {data_format}"


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_]{1,128}", name):
        raise EngineError("Code: 81. DB::Exception: Database does not exist. (UNKNOWN_DATABASE)")
    return f"`{name}`"


def _lock(data: Path) -> int:
    import fcntl

    path = data / "engine.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = path.read_text(encoding="ascii").strip() or "unknown"
        os.close(fd)
        raise DataFolderError(f"the data folder {data} is in use by process {holder}") from error
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd
