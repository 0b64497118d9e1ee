"""All services as separate processes, as an operator would run them: over Kafka, or embedded over a LocalBus."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from runstream_common.clickhouse.client import connect
from runstream_common.clickhouse.schema.migrator import migrate
from runstream_control.control_store import ControlStore, Resume
from tests.support.clickhouse import EmbeddedClickHouse
from tests.support.processes import Service, free_port


class ServiceStack:
    """`start()` makes databases, the first key, and starts the services; `stop()` ends them in order."""

    def __init__(self, folder: Path, kafka: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.kafka = kafka
        self.clickhouse = EmbeddedClickHouse(folder)
        self.control_url = f"sqlite:///{folder / 'control.db'}"
        names = ("gateway", "http", "grpc", "gateway_ops", "writer_ops", "query_ops")
        self.ports = {name: free_port() for name in names}
        self.key = ""
        self.services: dict[str, Service] = {}
        self.extra: dict[str, str] = {}
        """More variables for the services."""

    def address(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    @property
    def environment(self) -> dict[str, str]:
        """For the services."""
        environment = {
            **self.extra,
            **self.clickhouse.environment,
            "RUNSTREAM_CONTROL_URL": self.control_url,
            "RUNSTREAM_MEDIA_URL": (self.folder / "media").absolute().as_uri(),
            "RUNSTREAM_GATEWAY_LISTEN": self.address("gateway"),
            "RUNSTREAM_GATEWAY_OPS": self.address("gateway_ops"),
            "RUNSTREAM_WRITER_OPS": self.address("writer_ops"),
            "RUNSTREAM_QUERY_HTTP": self.address("http"),
            "RUNSTREAM_QUERY_GRPC": self.address("grpc"),
            "RUNSTREAM_QUERY_OPS": self.address("query_ops"),
        }
        return {**environment, "RUNSTREAM_KAFKA_BOOTSTRAP": self.kafka} if self.kafka else environment

    def sdk_environment(self, spool: Path) -> dict[str, str]:
        """For processes that log and ask."""
        return {
            "RUNSTREAM_BASE_URL": f"http://{self.address('http')}",
            "RUNSTREAM_GATEWAY": self.address("gateway"),
            "RUNSTREAM_QUERY_GRPC": self.address("grpc"),
            "RUNSTREAM_API_KEY": self.key,
            "RUNSTREAM_DIR": str(spool),
            "RUNSTREAM_SILENT": "true",
            "RUNSTREAM_SYSTEM_METRICS": "false",  # the tests that want them say so: the others count points
            "RUNSTREAM_CONSOLE": "off",
        }

    def start(self, query: bool = True) -> ServiceStack:
        self.clickhouse.start()
        self.key = asyncio.run(self._prepare())
        wanted = {"gateway": "gateway_ops", "writer": "writer_ops"} if self.kafka else {"ingest": "gateway_ops"}
        if query:
            wanted["query"] = "query_ops"
        modules = {"ingest": "runstream_ingestor", "query": "runstream_query"}
        for name in wanted:  # all at once: each takes a second to load
            self._begin(name, modules.get(name, f"runstream_ingestor.{name}"))
        for name, ops in wanted.items():
            self.services[name].wait_answering(f"http://{self.address(ops)}/healthz")
        return self

    def make_project(self, name: str) -> None:
        """A project of team main, for rows that are put into ClickHouse by hand."""

        async def make() -> None:
            store = ControlStore.open(self.control_url)
            who = await store.authenticate(self.key)
            await store.bind_stream(
                who, team="main", project=name, run="first", writer_id="writer-0", rank=0, resume=Resume.ALLOW
            )
            await store.close()

        asyncio.run(make())

    def stop(self) -> None:
        if "query" in self.services:
            self.services["query"].signal(signal.SIGTERM)  # beside the others, which end one after the other
        for name in ("ingest", "gateway", "writer", "query"):
            if name in self.services:
                self.services[name].stop()
        self.clickhouse.service.stop()

    def kill(self) -> None:
        """End everything at once, without goodbye."""
        for service in (*self.services.values(), self.clickhouse.service):
            service.kill()

    def start_service(self, name: str, module: str, ops: str) -> Service:
        """Again, after it was stopped; returns when it answers."""
        service = self._begin(name, module)
        service.wait_answering(f"http://{self.address(ops)}/healthz")
        return service

    def _begin(self, name: str, module: str) -> Service:
        service = Service(module, self.folder / f"{name}.log", self.environment).start()
        self.services[name] = service
        return service

    async def _prepare(self) -> str:
        client = await connect(self.clickhouse.config)
        await migrate(client)
        await client.close()
        store = ControlStore.open(self.control_url)
        await store.migrate()
        key = await store.bootstrap("main", "tester")
        await store.close()
        assert key is not None
        return str(key)


def clean_environment() -> dict[str, str]:
    """This process's environment without what a developer may have set."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RUNSTREAM_")}
