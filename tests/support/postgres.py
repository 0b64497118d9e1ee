"""A real PostgreSQL for a test session: initdb in a temporary folder, loopback only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import free_port


def _binary(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def postgres_url(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """`postgresql://...` of a fresh server that ends with the generator. Skips, or with RUNSTREAM_REQUIRE_REAL
    fails, where PostgreSQL is not installed. `durable`: with fsync, as in production."""
    initdb, postgres = _binary("initdb"), _binary("postgres")
    if initdb is None or postgres is None:
        reason = "PostgreSQL is not installed (see tests/setup.sh)"
        if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
            pytest.fail(reason)
        pytest.skip(reason)
    data, port = folder / "data", free_port()
    data.mkdir()
    user: str | None = None
    if os.geteuid() == 0:  # the server refuses to run as root
        user = next(name for name in ("postgres", "nobody") if _exists(name))
        for path in (folder, data):
            shutil.chown(path, user)
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001 and str(parent).startswith("/tmp/"):
                parent.chmod(parent.stat().st_mode | 0o011)
    subprocess.run(
        [initdb, "-D", str(data), "-U", "runstream", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
        user=user,
        cwd="/",
    )
    command = [postgres, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(data)] + (
        [] if durable else ["-F"]
    )
    with (folder / "postgres.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd="/")
    try:
        _wait(port, server, folder / "postgres.log")
        yield f"postgresql://runstream@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(20)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    from tests.support.processes import tail, wait_for

    def ready() -> bool:
        assert server.poll() is None, tail(log)
        try:
            psycopg.connect(f"postgresql://runstream@127.0.0.1:{port}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    wait_for(ready, "PostgreSQL")


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
