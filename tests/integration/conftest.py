"""Stacks of real processes that several integration tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runstream_common.clickhouse.client import connect
from runstream_control import core_tables
from runstream_control.control_store import ControlStore
from runstream_control.errors import ControlUnavailableError
from tests.integration.many_runs import asked
from tests.integration.world import world
from tests.support.postgres import postgres_url
from tests.support.sql_front import Front
from tests.support.stack import ServiceStack

__all__ = ["asked", "world"]


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceStack]:
    """ClickHouse, ingest (LocalBus) and query as processes of their own."""
    stack = ServiceStack(tmp_path_factory.mktemp("embedded")).start()
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from postgres_url(tmp_path_factory.mktemp("postgres"))


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ControlStore]:
    """A migrated control database: SQLite, and a real PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'control.db'}"
    else:
        import psycopg

        server = request.getfixturevalue("postgres")
        name = f"t{abs(hash(tmp_path))}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        url = server.replace("/postgres", f"/{name}")
    store = ControlStore.open(url)
    with pytest.raises(ControlUnavailableError, match="runstream migrate"):
        await store.check_schema()
    assert await store.migrate() == 0
    assert await store.migrate() == core_tables.VERSION
    await store.check_schema()
    yield store
    await store.close()


@pytest.fixture(scope="module")
def front(embedded: ServiceStack) -> Front:
    """Where people's SQL goes, with a thousand points of a run in project `sql`."""

    async def make() -> None:
        client = await connect(embedded.clickhouse.config)
        await client.command(
            "INSERT INTO points (project, run, metric, rank, step, value, time, version, run_month) SELECT 'main/sql', "
            "'r', 'loss', 0, number, number / 2, toDateTime64(1790000000 + number, 6), 1, '2026-11-01' "
            "FROM numbers(1000)"
        )
        await client.close()

    asyncio.run(make())
    return Front(embedded)
