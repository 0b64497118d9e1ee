"""All services of `runstream up` on one machine: start them in order, check them, and stop them."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from runstream_common.clickhouse.client import ClickHouseConfig, connect
from runstream_common.clickhouse.schema.migrator import migrate
from runstream_common.service.config import Env
from runstream_common.service.os_process import INSTANCE_HEADER
from runstream_control import backups
from runstream_control.control_store import ControlStore
from runstream_control.errors import AuthenticationError, ControlError, NotFoundError
from runstream_control.sessions import LINK_LIFETIME_S, SessionStore, login_address
from runstream_deploy.addresses import Addresses
from runstream_deploy.service_processes import ServiceProcess, Tether, given_up_error, wait_until

KEY_FILE = "api-key"
_START_TIMEOUT_S = 60.0
_COPY_EVERY_S = 3600.0
"""The control database is checked and copied at each start, and after each such time."""


@dataclass(frozen=True, slots=True)
class UpConfig:
    data: Path
    addresses: Addresses
    team: str
    user: str
    clickhouse_url: str = ""
    """The URL of an external ClickHouse; empty for the embedded engine."""
    kafka: str = ""
    """The address of Kafka; empty for gateway and writer in one process without Kafka."""

    @property
    def control_url(self) -> str:
        return os.environ.get("RUNSTREAM_CONTROL_URL") or f"sqlite:///{self.data.absolute() / 'control.db'}"

    @property
    def control_file(self) -> Path | None:
        """The file of the control database, or None where the database is not in this folder."""
        return None if os.environ.get("RUNSTREAM_CONTROL_URL") else self.data.absolute() / "control.db"

    @property
    def listening(self) -> list[str]:
        """The addresses, as host:port, of all ports on which the services will listen."""
        addresses = self.addresses
        found = [addresses.gateway, addresses.http, addresses.grpc, addresses.gateway_ops, addresses.query_ops]
        return found + [addresses.clickhouse] * (not self.clickhouse_url) + [addresses.writer_ops] * bool(self.kafka)


class Stack:
    """All services of one machine. Call `start()`, then `stop()`. A failed start leaves nothing running."""

    def __init__(self, config: UpConfig, say: Callable[[str], None]) -> None:
        self._config = config
        self._say = say
        self._children: list[ServiceProcess] = []
        self._tether = Tether()
        self._password = ""

    async def start(self) -> str | None:
        """Start, migrate, and health-check. Return the first API key when one was made.

        Raise ServiceProcessError, ConfigError, ControlError, StorageError or SchemaError.
        """
        config = self._config
        (config.data / "logs").mkdir(exist_ok=True, mode=0o700)
        if config.control_file is not None:
            await asyncio.to_thread(backups.check, config.control_file)
        if not config.clickhouse_url:
            self._password = self._secret("clickhouse-password")
            await self._start_clickhouse()
        await self._migrate()
        key = await self._bootstrap()
        await self._copy_control()
        await self._start_ingest()
        await self._start_query()
        replace(config.addresses, pid=os.getpid(), embedded=not config.clickhouse_url).save(config.data)
        return key

    async def copy_control_regularly(self) -> None:
        """Copy the control database at regular intervals.

        A damage that is found while the database is in use is printed; its users go on with what they can read.
        """
        while True:
            await asyncio.sleep(_COPY_EVERY_S)
            await self._copy_control()

    async def _copy_control(self) -> None:
        file = self._config.control_file
        if file is None:
            return
        try:
            await asyncio.to_thread(backups.copy, file)
        except (ControlError, OSError) as error:
            print(f"runstream up: the control database could not be copied: {error}", file=sys.stderr, flush=True)

    async def stop(self) -> None:
        """Stop the children in the reverse order, each with time to finish. Everything acked is on disk."""
        for child in reversed(self._children):
            await child.stop(20.0)
        self._tether.close()

    async def failed(self) -> None:
        """Wait until a child is given up. Raise ServiceProcessError."""
        waiting = {asyncio.ensure_future(child.given_up.wait()): child for child in self._children}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            raise given_up_error(waiting[done.pop()])
        finally:
            for task in waiting:
                task.cancel()

    async def _start_clickhouse(self) -> None:
        addresses = self._config.addresses
        child = self._child(
            "clickhouse",
            "runstream_deploy.embedded",
            "--data",
            str(self._config.data / "clickhouse"),
            "--listen",
            addresses.clickhouse,
        )
        await child.start()
        self._say(f"ClickHouse (embedded)  http://{addresses.clickhouse}")
        await self._wait_for(child, "ClickHouse", f"http://{addresses.clickhouse}/ping")

    async def _migrate(self) -> None:
        client = await connect(self._clickhouse())
        try:
            for migration in await migrate(client, self._clickhouse().cluster):
                self._say(f"applied {migration.name}")
        finally:
            await client.close()

    async def _bootstrap(self) -> str | None:
        store = ControlStore.open(self._config.control_url)
        try:
            await store.migrate()
            key = await store.bootstrap(self._config.team, self._config.user)
        finally:
            await store.close()
        if key:
            write_private(self._config.data / KEY_FILE, key)
        return key

    async def login_link(self) -> str | None:
        """Return an address that logs a browser in as the first user, once.

        Return None when the first key is not valid any more. Raise ControlError.
        """
        store = ControlStore.open(self._config.control_url)
        try:
            key = (self._config.data / KEY_FILE).read_text(encoding="ascii").strip()
            who = await store.authenticate(key)
            link = await SessionStore.beside(store).create_link(who.key_prefix, LINK_LIFETIME_S)
        except (OSError, AuthenticationError, NotFoundError):
            return None
        finally:
            await store.close()
        return login_address(f"http://{self._config.addresses.http}", link)

    async def _start_ingest(self) -> None:
        addresses = self._config.addresses
        if self._config.kafka:
            services = [
                ("gateway", "runstream_ingestor.gateway", addresses.gateway_ops),
                ("writer", "runstream_ingestor.writer", addresses.writer_ops),
            ]
        else:
            services = [("ingest", "runstream_ingestor", addresses.gateway_ops)]
        for name, module, ops in services:
            child = self._child(name, module)
            await child.start()
            await self._wait_for(child, name, f"http://{ops}/healthz")
        self._say(f"gateway (gRPC)         {addresses.gateway}")

    async def _start_query(self) -> None:
        addresses = self._config.addresses
        child = self._child("query", "runstream_query")
        await child.start()
        await self._wait_for(child, "query", f"http://{addresses.query_ops}/readyz")
        self._say(f"query (HTTP)           http://{addresses.http}")
        self._say(f"query (gRPC)           {addresses.grpc}")

    def _child(self, name: str, module: str, *arguments: str) -> ServiceProcess:
        log = self._config.data / "logs" / f"{name}.log"
        child = ServiceProcess(name, module, arguments, self._environment(), log, self._tether)
        self._children.append(child)
        return child

    async def _wait_for(self, child: ServiceProcess, what: str, url: str) -> None:
        await wait_until(child, what, lambda: _answers(url, child.instance), _START_TIMEOUT_S)

    def _environment(self) -> dict[str, str]:
        addresses, clickhouse = self._config.addresses, self._clickhouse()
        environment = {
            "RUNSTREAM_CONTROL_URL": self._config.control_url,
            "RUNSTREAM_CLICKHOUSE_URL": clickhouse.url,
            "RUNSTREAM_CLICKHOUSE_USER": clickhouse.user,
            "RUNSTREAM_CLICKHOUSE_PASSWORD": clickhouse.password,
            "RUNSTREAM_MEDIA_URL": os.environ.get("RUNSTREAM_MEDIA_URL")
            or (self._config.data.absolute() / "media").as_uri(),
            "RUNSTREAM_GATEWAY_LISTEN": addresses.gateway,
            "RUNSTREAM_GATEWAY_OPS": addresses.gateway_ops,
            "RUNSTREAM_WRITER_OPS": addresses.writer_ops,
            "RUNSTREAM_QUERY_HTTP": addresses.http,
            "RUNSTREAM_QUERY_GRPC": addresses.grpc,
            "RUNSTREAM_QUERY_OPS": addresses.query_ops,
        }
        if not self._config.clickhouse_url:  # as many as the engine has threads: more would wait in no order
            environment["RUNSTREAM_SQL_IN_ALL"] = os.environ.get("RUNSTREAM_SQL_IN_ALL", "8")
            environment["RUNSTREAM_QUERY_ENGINE"] = os.environ.get("RUNSTREAM_QUERY_ENGINE", "10")  # 8 of one user
        if self._config.kafka:
            environment["RUNSTREAM_KAFKA_BOOTSTRAP"] = self._config.kafka
        return environment

    def _clickhouse(self) -> ClickHouseConfig:
        if self._config.clickhouse_url:
            return replace(ClickHouseConfig.from_env(Env()), url=self._config.clickhouse_url)
        return ClickHouseConfig(f"http://{self._config.addresses.clickhouse}/default", password=self._password)

    def _secret(self, name: str) -> str:
        """Return a random secret. It is made at the first call, and kept in the data folder."""
        path = self._config.data / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))
        return path.read_text(encoding="ascii").strip()


async def _answers(url: str, instance: str) -> str | None:
    """Return None when the URL answers 200, and the started process itself answers. Else return the problem."""

    def ask() -> str | None:
        try:
            with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  # our own http URL
                if response.headers.get(INSTANCE_HEADER) != instance:
                    return f"another process answers at {url}"
                return None if response.status == 200 else f"status {response.status}"
        except urllib.error.HTTPError as error:
            return f"status {error.code}: {error.read(500).decode('utf-8', 'replace').strip()}"
        except OSError as error:
            return str(error)

    return await asyncio.to_thread(ask)


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read. Raise OSError."""
    path.unlink(missing_ok=True)  # an old file that others could read stays readable where they have it open
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(text + "\n")
