"""A real PostgreSQL for a test session: initdb in a temporary folder, loopback only."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import free_port, tail, wait_for


def _binary(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


class PostgresServer:
    """PostgreSQL in a folder of its own, on loopback. `start()` after `kill()` recovers what was there."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        """Makes the database. Skips, or with RUNSTREAM_REQUIRE_REAL fails, where PostgreSQL is not installed.
        `durable`: with fsync, as in production."""
        initdb, postgres = _binary("initdb"), _binary("postgres")
        if initdb is None or postgres is None:
            reason = "PostgreSQL is not installed (see tests/setup.sh)"
            if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
                pytest.fail(reason)
            pytest.skip(reason)
        self._log = folder / "postgres.log"
        self.port = free_port()
        data = folder / "data"
        data.mkdir(parents=True)
        self._user: str | None = None
        if os.geteuid() == 0:  # the server refuses to run as root
            self._user = next(name for name in ("postgres", "nobody") if _exists(name))
            for path in (folder, data):
                shutil.chown(path, self._user)
            for parent in folder.parents:
                if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001 and str(parent).startswith("/tmp/"):
                    parent.chmod(parent.stat().st_mode | 0o011)
        subprocess.run(
            [initdb, "-D", str(data), "-U", "runstream", "-A", "trust", "--no-sync"],
            check=True,
            capture_output=True,
            user=self._user,
            cwd="/",
        )
        self._command = [postgres, "-D", str(data), "-p", str(self.port), "-h", "127.0.0.1", "-k", str(data)]
        self._command += [] if durable else ["-F"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://runstream@127.0.0.1:{self.port}/postgres"

    def start(self) -> PostgresServer:
        """Returns when it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, user=self._user, cwd="/")
        wait_for(self._ready, "PostgreSQL")
        return self

    def kill(self) -> None:
        """End it at once ("immediate": without a checkpoint), and all its processes with it."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def running(self) -> bool:
        return self._process is not None

    def _ready(self) -> bool:
        import psycopg

        assert self._process is not None and self._process.poll() is None, tail(self._log)
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def postgres_url(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """`postgresql://...` of a fresh server that ends with the generator; see `PostgresServer`."""
    server = PostgresServer(folder, durable=durable)
    try:
        yield server.start().url
    finally:
        server.stop()


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
