"""`runstream query`: answers requests over gRPC and HTTP."""

from __future__ import annotations

import asyncio
import sys

import structlog

from runstream_common.clickhouse.client import StorageError, connect
from runstream_common.clickhouse.raw import RawClickHouse
from runstream_common.clickhouse.schema.migrator import check_schema
from runstream_common.objects import MediaStore
from runstream_common.service.config import Env
from runstream_common.service.health import OpsServer, serve_app
from runstream_common.service.lifecycle import run_service, until_end_or_failure
from runstream_common.service.metrics import Metrics
from runstream_common.service.os_process import settle_in
from runstream_common.service.tls import grpc_port, http_options
from runstream_control.authenticator import CachedAuthenticator
from runstream_control.control_store import ControlStore
from runstream_control.sessions import SessionStore
from runstream_query.base.storage import Storage
from runstream_query.config import QueryConfig
from runstream_query.curves.rollups.rollup_keeper import RollupKeeper
from runstream_query.methods.query_service import QueryService
from runstream_query.runs.deletion import Deletion, Janitor
from runstream_query.runs.selection.run_tables import RunTables
from runstream_query.runs.verdict.damage_watch import DamageWatch
from runstream_query.sqlaccess.sql_runner import SqlRunner
from runstream_query.transport.credentials import Authenticators
from runstream_query.transport.dispatcher import Dispatcher
from runstream_query.transport.grpc_server import make_server
from runstream_query.transport.http.app import make_app
from runstream_query.transport.http.logins import Logins
from runstream_query.transport.http.request_credentials import SessionGuard
from runstream_query.transport.request_queues import RequestQueues

LOG = structlog.get_logger()
_GOODBYE_S = 5
"""Seconds for which answers under way may go on after the service was told to end."""


def main(argv: list[str] | None = None) -> int:
    return run_service("query", __doc__, argv, _serve)


class _Watch:
    """Asks ClickHouse every few seconds, so that readiness costs nobody a query."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.problem: str | None = "not asked yet"

    async def run(self) -> None:
        while True:
            try:
                await self._storage.ping()
                self.problem = None
            except StorageError as error:
                self.problem = f"ClickHouse: {error}"
            await asyncio.sleep(2.0)


async def _serve(env: Env) -> None:
    config = QueryConfig.from_env(env)
    store = ControlStore.open(config.control_url)
    await store.check_schema()
    client = await connect(config.clickhouse)
    await check_schema(client)
    metrics = Metrics(["query"])
    queues = RequestQueues(config.requests, config.sql, metrics)
    storage = Storage(client, turns=queues.engine.of)
    media = MediaStore(config.media)
    deletion = Deletion(client, storage, store, media)
    raw = RawClickHouse(config.clickhouse)
    sql = SqlRunner(raw, config.sql, queues.sql)
    # Replicas behind one address differ in how far they are, so none of their rows are kept in memory.
    tables = RunTables(storage, config.tables_bytes, trusted=not config.clickhouse.cluster)
    service = QueryService(storage, store, deletion, config.crash_after_s, sql, metrics, tables)
    sessions = SessionStore.beside(store)
    known_sessions = CachedAuthenticator(sessions)
    authenticators = Authenticators({"key": CachedAuthenticator(store), "session": known_sessions})
    dispatcher = Dispatcher(service, authenticators, metrics, queues)
    server = make_server(dispatcher)
    port = grpc_port(server, config.grpc, config.tls_certificate, config.tls_key)
    watch = _Watch(storage)
    background = [asyncio.create_task(watch.run()), asyncio.create_task(service.sweeps.supervisor.run())]
    background.append(asyncio.create_task(DamageWatch(storage, metrics).run()))
    if config.janitor_s:
        background.append(asyncio.create_task(Janitor(deletion, config.janitor_s).run()))
    if config.rollups_s:
        background.append(
            asyncio.create_task(RollupKeeper(Storage(client, priority=0), metrics, config.rollups_s).run())
        )
    ops = OpsServer(config.ops, metrics, {}, {"clickhouse": lambda: watch.problem}, config.ops_token)
    guard = SessionGuard(config.session_s)
    logins = Logins(sessions, known_sessions, guard, config.session_s)
    await server.start()
    web, web_task, http_port = await serve_app(
        make_app(dispatcher, guard, media, sql, logins),
        config.http,
        timeout_graceful_shutdown=_GOODBYE_S,  # a client that does not read must not hold the service up
        **http_options(config.tls_certificate, config.tls_key),
    )
    await ops.start()
    try:
        settle_in()
        LOG.info("ready", grpc_port=port, http_port=http_port, ops_port=ops.port)
        await until_end_or_failure()
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await service.close()
        web.should_exit = True
        await web_task
        await server.stop(_GOODBYE_S)
        await ops.close()
        await raw.close()
        await client.close()
        await store.close()


if __name__ == "__main__":
    sys.exit(main())
